//! Workflows are methods of an instance, beside any other items in the block.

#![deny(warnings, missing_docs, unused)]

use std::sync::Arc;

use durable::prelude::*;

/// It has a name of its own.
pub struct Processor {
    source: String,
}

impl Instance for Processor {
    fn instance_name(&self) -> &str {
        &self.source
    }
}

#[durable::instance]
impl Processor {
    const LIMIT: u32 = { 3 };

    #[step]
    async fn fetch(&self) -> Result<u32> {
        Ok(self.source.len() as u32)
    }

    /// Docs.
    #[workflow(max_recoveries = 3)]
    pub async fn process(&self, mut day: u32, r#type: String) -> Result<u32> {
        day += Self::LIMIT;
        Ok(self.fetch().await? + day + r#type.len() as u32)
    }

    #[workflow]
    async fn nothing(&self) -> Result<()> {
        self.process(1, self.plain().to_owned()).await?;
        Ok(())
    }

    #[durable::workflow(name = "measured", nondeterminism = "allow")]
    async fn with_options(&self, _unused: Option<Box<Vec<u32>>>) -> Result<u32> {
        Ok(std::time::Instant::now().elapsed().subsec_nanos())
    }

    fn plain(&self) -> &str {
        &self.source
    }

    /// In any form.
    pub fn shared(self: Arc<Self>) -> usize {
        self.plain().len()
    }
}

mod shop {
    #[derive(serde::Serialize, serde::Deserialize, Clone)]
    pub(crate) struct Shop(pub(crate) String);

    impl durable::Instance for Shop {
        fn instance_name(&self) -> &str {
            &self.0
        }
    }
}

#[durable::instance]
impl shop::Shop {
    #[workflow]
    async fn either(&self, other: Self, many: Vec<Self>) -> Result<Option<Self>> {
        Ok(many.into_iter().next().or(Some(other)))
    }
}

#[test]
fn workflows_are_methods_of_an_instance() {
    let processor = Arc::new(Processor { source: "s".into() });
    let _ = processor.process(1, "a".into()).id("x");
    let _ = processor.nothing();
    let _ = processor.with_options(None);
    assert_eq!(processor.clone().shared(), 1);
    let shop = shop::Shop("s".into());
    let _ = shop.either(shop.clone(), vec![]);
}
