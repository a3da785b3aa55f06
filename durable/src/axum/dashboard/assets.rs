//! The files of the pages, which are part of the program.

use std::hash::{DefaultHasher, Hasher};
use std::sync::LazyLock;

use ::axum::extract::{OriginalUri, Path};
use ::axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use ::axum::response::{IntoResponse, Response};

use super::api_error::{Answer, ApiError};
use super::asset_files::FILES;

/// The page that loads the others.
const SHELL: &str = "index.html";
/// A folder from which a debug build reads the files instead, so that a change shows without a build.
#[cfg(debug_assertions)]
const FOLDER_VARIABLE: &str = "DURABLE_DASHBOARD_ASSETS";

/// A text that is another one whenever a file is: a part of their URLs, so that browsers may keep them for ever.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = DefaultHasher::new();
    for (name, content) in FILES {
        hasher.write(name.as_bytes());
        hasher.write(&content.len().to_le_bytes());
        hasher.write(content);
    }
    format!("{:016x}", hasher.finish())
});

/// `GET /`: the page. Without a slash at the end its relative URLs would lead elsewhere, so it leads to `ui` below.
pub(super) async fn root(OriginalUri(uri): OriginalUri, headers: HeaderMap) -> Response {
    let path = uri.path();
    if path.ends_with('/') {
        return shell(headers).await.into_response();
    }
    // Relative, because a proxy may have put a prefix before it.
    let last = path.rsplit('/').next().unwrap_or_default();
    let query = uri.query().map_or_else(String::new, |it| format!("?{it}"));
    match HeaderValue::from_str(&format!("{last}/ui{query}")) {
        Ok(location) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

/// `GET ui`: the page.
pub(super) async fn shell(headers: HeaderMap) -> Answer<Response> {
    let text = String::from_utf8_lossy(&file(SHELL)?).into_owned();
    let version = &*VERSION;
    let text = text
        .replace("{{css}}", &format!("assets/{version}/app.css"))
        .replace("{{app}}", &format!("assets/{version}/app.js"));
    Ok(respond(&headers, "text/html; charset=utf-8", "no-cache", text.into_bytes()))
}

/// `GET assets/{version}/{*path}`: a file. One of another version is given as it is here, and not kept.
pub(super) async fn asset(Path((version, path)): Path<(String, String)>, headers: HeaderMap) -> Answer<Response> {
    let content = file(&path)?;
    let is_kept = version == *VERSION && !reads_folder();
    let caching = if is_kept { "public, max-age=31536000, immutable" } else { "no-cache" };
    Ok(respond(&headers, content_type(&path), caching, content))
}

fn respond(request: &HeaderMap, content_type: &'static str, caching: &'static str, content: Vec<u8>) -> Response {
    let tag = if reads_folder() { String::new() } else { format!("\"{}\"", &*VERSION) };
    let known = request.get(header::IF_NONE_MATCH).and_then(|it| it.to_str().ok());
    let is_known = !tag.is_empty() && known.is_some_and(|it| it.split(',').any(|it| it.trim() == tag));
    let mut response = if is_known { StatusCode::NOT_MODIFIED.into_response() } else { content.into_response() };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    if let Ok(tag) = HeaderValue::from_str(&tag)
        && !tag.is_empty()
    {
        headers.insert(header::ETAG, tag);
    }
    if is_known {
        headers.remove(header::CONTENT_TYPE);
    } else {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    response
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, it)| it) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        _ => "application/octet-stream",
    }
}

/// The content of a file.
fn file(path: &str) -> Answer<Vec<u8>> {
    let Some((name, content)) = FILES.iter().find(|(name, _)| *name == path) else {
        return Err(ApiError::not_found(format!("the dashboard has no file {path:?}")));
    };
    Ok(from_folder(name).unwrap_or_else(|| content.to_vec()))
}

#[cfg(debug_assertions)]
fn reads_folder() -> bool {
    std::env::var_os(FOLDER_VARIABLE).is_some()
}

/// The file in the folder of the environment variable. Its name is one of the table, and no path of a request.
#[cfg(debug_assertions)]
fn from_folder(name: &str) -> Option<Vec<u8>> {
    std::fs::read(std::path::Path::new(&std::env::var_os(FOLDER_VARIABLE)?).join(name)).ok()
}

#[cfg(not(debug_assertions))]
fn reads_folder() -> bool {
    false
}

#[cfg(not(debug_assertions))]
fn from_folder(_: &str) -> Option<Vec<u8>> {
    None
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    /// How large all files may be together.
    const MOST_BYTES: usize = 150_000;

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/axum/dashboard/assets")
    }

    fn names(folder: &Path, prefix: &str) -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("the folder is there").map(|it| it.expect("it can be read"));
        entries
            .flat_map(|entry| {
                let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
                if entry.path().is_dir() { names(&entry.path(), &format!("{name}/")) } else { vec![name] }
            })
            .collect()
    }

    #[test]
    fn every_file_of_the_folder_is_served_and_all_are_small() {
        let mut there = names(&folder(), "");
        there.sort();
        let mut served: Vec<_> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        served.sort();
        assert_eq!(served, there, "`asset_files.rs` lists the files of the folder");
        let bytes: usize = FILES.iter().map(|(_, content)| content.len()).sum();
        assert!(bytes <= MOST_BYTES, "the pages have {bytes} bytes");
    }

    #[test]
    fn every_file_has_a_type_that_browsers_take() {
        for (name, _) in FILES {
            assert_ne!(content_type(name), "application/octet-stream", "{name}");
        }
    }
}
