//! The table of the files in the folder `assets`.

/// Includes files by their names.
macro_rules! files {
    ($($name:literal,)*) => {
        /// The files by their names. A test compares them with the folder.
        pub(super) const FILES: &[(&str, &[u8])] = &[$(($name, include_bytes!(concat!("assets/", $name)))),*];
    };
}

files! {
    "actions.js",
    "api.js",
    "app.css",
    "app.js",
    "bulk.js",
    "chart.js",
    "columns.js",
    "dialog.js",
    "dom.js",
    "filters.js",
    "fork.js",
    "format.js",
    "index.html",
    "json_view.js",
    "keys.js",
    "live.js",
    "pages/executors.js",
    "pages/overview.js",
    "pages/queues.js",
    "pages/schedules.js",
    "pages/settings.js",
    "pages/versions.js",
    "pages/workflow.js",
    "pages/workflows.js",
    "parts.js",
    "router.js",
    "step_details.js",
    "streams.js",
    "timeline.js",
    "timeline_rows.js",
    "why.js",
}
