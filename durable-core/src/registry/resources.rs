//! What the builder was given for workflows and steps to find: clients and pools by their type,
//! instances by type and name.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::types::payload::PayloadError;

/// An object whose methods are workflows.
///
/// After a restart a workflow is given the instance of its type and name again, so the name must be
/// the same then, and differ between the instances of a type.
///
/// # Example
///
/// ```
/// use durable_core::Instance;
///
/// struct DataProcessor {
///     source_url: String,
/// }
///
/// impl Instance for DataProcessor {
///     fn instance_name(&self) -> &str {
///         &self.source_url
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no name by which it is found again after a restart",
    label = "implement `durable::Instance` for this type",
    note = "`fn instance_name(&self) -> &str` gives the name: the same after a restart, and different for each instance"
)]
pub trait Instance: Send + Sync + 'static {
    /// The name, unique among the instances of the type.
    fn instance_name(&self) -> &str;
}

type Object = Arc<dyn Any + Send + Sync>;

/// The objects of one engine.
#[derive(Default, Clone)]
pub(crate) struct Resources {
    states: HashMap<TypeId, Object>,
    instances: HashMap<(TypeId, String), Object>,
}

impl Resources {
    pub(crate) fn add_state<T: Send + Sync + 'static>(&mut self, state: T) {
        self.states.insert(TypeId::of::<T>(), Arc::new(state));
    }

    pub(crate) fn state<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.states.get(&TypeId::of::<T>()).and_then(|it| Arc::clone(it).downcast().ok())
    }

    pub(crate) fn add_instance<T: Instance>(&mut self, instance: &Arc<T>) {
        let key = (TypeId::of::<T>(), instance.instance_name().to_owned());
        self.instances.insert(key, Arc::clone(instance) as Object);
    }

    /// The instance of a type and name.
    ///
    /// # Errors
    /// It was not given to the builder.
    pub(crate) fn instance<T: Send + Sync + 'static>(&self, name: &str) -> Result<Arc<T>, PayloadError> {
        let found = self.instances.get(&(TypeId::of::<T>(), name.to_owned()));
        found.and_then(|it| Arc::clone(it).downcast().ok()).ok_or_else(|| {
            PayloadError::new(format_args!(
                "there is no instance of `{}` named {name:?}; give it to the builder before the launch: `builder.instance(…)`",
                type_name::<T>()
            ))
        })
    }
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Objects({} states, {} instances)", self.states.len(), self.instances.len())
    }
}
