//! Methods as workflows, state, errors of any type, inline steps.

use std::fmt;

use durable::prelude::*;

use crate::support::{TestDatabase, arrived, count, counted, database_tests, fresh, gate};

database_tests! {
a_method_is_recovered_on_the_instance_of_its_name,
a_missing_instance_parks_the_workflow,
an_id_of_another_instance_is_refused_with_both_names,
a_deduplication_id_never_attaches_to_another_instance,
an_invalid_instance_name_is_refused,
state_is_found_by_its_type,
an_error_of_any_type_is_returned_by_its_message,
an_anyhow_error_is_returned_with_its_chain,
an_inline_step_is_recorded,
}

struct Greeter {
    name: String,
    greeting: String,
}

impl Instance for Greeter {
    fn instance_name(&self) -> &str {
        &self.name
    }
}

#[durable::instance]
impl Greeter {
    #[step]
    async fn compose(&self, whom: &str) -> String {
        format!("{} {whom}", self.greeting)
    }

    #[step]
    async fn hold(&self, key: &str) -> u32 {
        count(key);
        gate(key).acquire().await.unwrap().forget();
        1
    }

    #[workflow]
    async fn greet(&self, whom: String, key: String) -> Result<String> {
        let text = self.compose(&whom).await;
        self.hold(&key).await;
        Ok(format!("{text}, says {}", self.name))
    }
}

fn greeter(name: &str, greeting: &str) -> Greeter {
    Greeter { name: name.into(), greeting: greeting.into() }
}

async fn a_method_is_recovered_on_the_instance_of_its_name(database: &TestDatabase) {
    let key = fresh("greet");
    let mut builder = database.builder("first");
    let polite = builder.instance(greeter("polite", "Good day"));
    let rude = builder.instance(greeter("rude", "Oi"));
    let app = builder.launch().await.unwrap();
    app.scope(async {
        polite.greet("Ada".into(), key.clone()).id("p").start().await.unwrap();
        rude.greet("Bob".into(), key.clone()).id("r").start().await.unwrap();
    })
    .await;
    arrived(&key, 2).await;
    database.crash(app).await;

    let mut builder = database.builder("second");
    builder.instance(greeter("polite", "Good evening"));
    builder.instance(greeter("rude", "Hey"));
    let app = builder.launch().await.unwrap();
    gate(&key).add_permits(4);
    let result = async |id| app.retrieve_workflow::<String>(id).await.unwrap().await.unwrap();
    assert_eq!(result("p").await, "Good day Ada, says polite", "recorded results are kept");
    assert_eq!(result("r").await, "Oi Bob, says rude");
    let info = &app.list_workflows(Filter::new()).await.unwrap()[0];
    assert_eq!(info.name, "Greeter::greet");
    app.shutdown().await;
}

async fn a_missing_instance_parks_the_workflow(database: &TestDatabase) {
    let key = fresh("missing");
    let mut builder = database.builder("first");
    let polite = builder.instance(greeter("polite", "Good day"));
    let app = builder.launch().await.unwrap();
    app.scope(async { polite.greet("Ada".into(), key.clone()).id("p").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    database.crash(app).await;

    let app = database.launch().await;
    let error = app.retrieve_workflow::<String>("p").await.unwrap().await.unwrap_err();
    assert!(error.is_parked() && error.to_string().contains("named \"polite\""), "{error}");
    app.shutdown().await;
}

struct Document(&'static str);

impl Instance for Document {
    fn instance_name(&self) -> &str {
        self.0
    }
}

#[durable::instance]
impl Document {
    #[workflow]
    async fn save(&self, text: String) -> Result<String> {
        Ok(format!("{} saves {text}", self.0))
    }
}

async fn an_id_of_another_instance_is_refused_with_both_names(database: &TestDatabase) {
    let mut builder = database.builder("documents");
    let (a, z) = (builder.instance(Document("doc-a")), builder.instance(Document("doc-z")));
    let app = builder.launch().await.unwrap();
    app.scope(async {
        assert_eq!(a.save("3".into()).id("i").await.unwrap(), "doc-a saves 3");
        assert_eq!(a.save("4".into()).id("i").await.unwrap(), "doc-a saves 3", "the same one is attached to");
        let error = z.save("4".into()).id("i").await.unwrap_err();
        assert!(error.is_id_conflict(), "{error}");
        let text = error.to_string();
        assert!(text.contains("`Document::save` on the instance \"doc-a\" already"), "{text}");
        assert!(text.contains("used to start `Document::save` on the instance \"doc-z\";"), "{text}");
    })
    .await;
    app.shutdown().await;
}

async fn a_deduplication_id_never_attaches_to_another_instance(database: &TestDatabase) {
    let mut builder = database.builder("documents").listen_to::<&str>([]);
    let (a, z) = (builder.instance(Document("doc-a")), builder.instance(Document("doc-z")));
    let app = builder.launch().await.unwrap();
    app.scope(async {
        let call = |it: &Document| it.save("5".into()).queue(&SAVES).deduplicate("k").or_existing();
        let first = call(&a).start().await.unwrap();
        assert_eq!(call(&a).start().await.unwrap().id(), first.id());
        let error = call(&z).start().await.unwrap_err();
        assert_eq!(error.kind(), durable::ErrorKind::Duplicate);
        let text = error.to_string();
        assert!(
            text.contains("on the instance \"doc-a\") with") && text.contains("on the instance \"doc-z\" was"),
            "{text}"
        );
    })
    .await;
    app.shutdown().await;
}

async fn an_invalid_instance_name_is_refused(database: &TestDatabase) {
    let app = database.launch().await;
    let error = app.scope(async { Document("a\0b").save("6".into()).await.unwrap_err() }).await;
    assert!(error.to_string().contains("the instance's name \"a\\0b\" cannot be used"), "{error}");
    assert!(database.workflows().await.is_empty());
    app.shutdown().await;
}

#[durable::queue]
static SAVES: Queue = Queue::new("objects-saves");

struct Tea(&'static str);

#[step]
async fn brew() -> String {
    durable::state::<Tea>().0.to_owned()
}

#[workflow]
async fn brews() -> Result<String> {
    Ok(brew().await)
}

async fn state_is_found_by_its_type(database: &TestDatabase) {
    let app = database.builder("tea").state(Tea("assam")).launch().await.unwrap();
    assert_eq!(app.scope(async { brews().await }).await.unwrap(), "assam");
    app.shutdown().await;

    let app = database.launch().await;
    let error = app.scope(async { brews().await }).await.unwrap_err();
    assert!(error.is_panic() && error.to_string().contains("add `.state(…)`"), "{error}");
    app.shutdown().await;
}

/// An error that is not `Serialize`.
#[derive(Debug)]
struct Opaque(String);

impl fmt::Display for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "opaque: {}", self.0)
    }
}

impl From<Error> for Opaque {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

#[step]
async fn opaque(key: &str) -> Result<u32, Opaque> {
    count(key);
    Err(Opaque("inside".into()))
}

#[step]
async fn boxed() -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
    Ok("seven".parse::<u32>()?)
}

#[workflow]
async fn any_error(key: String) -> Result<String, Opaque> {
    let first = opaque(&key).await.unwrap_err();
    let second = boxed().await.map_err(|it| it.to_string()).unwrap_err();
    Err(Opaque(format!("{first} and {second}")))
}

async fn an_error_of_any_type_is_returned_by_its_message(database: &TestDatabase) {
    let key = fresh("opaque");
    let app = database.launch().await;
    let call = async || app.scope(async { any_error(key.clone()).id("w").await }).await.unwrap_err().0;
    let text = "opaque: opaque: inside and invalid digit found in string";
    assert_eq!(call().await, text, "it comes by its message, through `From<durable::Error>`");
    assert_eq!(call().await, text);
    assert_eq!(counted(&key), 1);
    app.shutdown().await;
}

#[step]
async fn parse(text: &str) -> anyhow::Result<u32> {
    use anyhow::Context;
    text.parse().with_context(|| format!("no amount: {text:?}"))
}

#[workflow]
async fn parses(text: String) -> anyhow::Result<u32> {
    parse(&text).await
}

async fn an_anyhow_error_is_returned_with_its_chain(database: &TestDatabase) {
    let app = database.launch().await;
    for _ in 0..2 {
        let error = app.scope(async { parses("seven".into()).id("w").await }).await.unwrap_err();
        assert_eq!(error.to_string(), "no amount: \"seven\": invalid digit found in string");
    }
    app.shutdown().await;
}

#[workflow]
async fn inline_steps(key: String) -> Result<u32> {
    let one = durable::step("one", async { Ok::<_, Error>(count(&key)) }).await?;
    let two = durable::step("two", async { Err::<u32, _>("no".to_owned()) }).await.unwrap_err();
    Ok(one + u32::try_from(two.len())?)
}

async fn an_inline_step_is_recorded(database: &TestDatabase) {
    let app = database.launch().await;
    assert_eq!(app.scope(async { inline_steps(fresh("inline")).id("w").await }).await.unwrap(), 3);
    let names: Vec<_> = app.list_steps("w").await.unwrap().into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["one", "two"]);
    app.shutdown().await;
}
