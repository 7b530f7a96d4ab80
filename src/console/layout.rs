//! The frame of every page.

use axum::response::Html;
use maud::{DOCTYPE, Markup, html};

/// How deep a page lies: links are relative, so that pages work behind a proxy that adds a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// `/`
    Top,
    /// `/studies/{study}`
    Study,
    /// `/studies/{study}/series/{series}`
    Series,
    /// Nobody knows: links are from the top, which a proxy with a prefix may break.
    Unknown,
}

impl Depth {
    /// The way back to the top.
    pub fn up(self) -> &'static str {
        match self {
            Self::Top => "",
            Self::Study => "../",
            Self::Series => "../../../",
            Self::Unknown => "/",
        }
    }

    /// The address of the list of studies.
    pub fn home(self) -> &'static str {
        match self {
            Self::Top => ".",
            other => other.up(),
        }
    }
}

/// A whole page around its main part.
pub fn page(title: &str, depth: Depth, main: &Markup) -> Html<String> {
    let up = depth.up();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="dark";
                title { (title) " · Filmroom" }
                link rel="icon" href={ (up) "console/icon.svg" };
                link rel="stylesheet" href={ (up) "console/console.css" };
                script src={ (up) "console/console.js" } defer {}
            }
            body {
                a.skip href="#main" { "Skip to content" }
                header.top {
                    a.brand href=(depth.home()) { "Filmroom" }
                    a.own href={ (up) "account" } { "Account" }
                }
                main #main { (main) }
            }
        }
    };
    Html(page.into_string())
}
