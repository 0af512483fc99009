//! HTML that the server made goes into the document once, and not beside it as data a second time.

use leptos::server::codee::{Decoder, Encoder};

use super::{
    person::Visitor,
    token::{Html, TokenList},
};
use crate::error::ApiError;

/// How resources with [`Html`] travel inside a page: without it.
///
/// In the browser the HTML is empty until it is fetched anew. Hydration leaves the inside of an element with
/// `inner_html` as it came, so that the rows stay.
///
/// Reads from bytes, as server functions do: one reader in the browser's code instead of two.
pub struct Light;

impl Encoder<Result<TokenList, ApiError>> for Light {
    type Error = serde_json::Error;
    type Encoded = String;

    fn encode(list: &Result<TokenList, ApiError>) -> Result<String, serde_json::Error> {
        let light = list.as_ref().map(|&TokenList { counts, edition, .. }| TokenList {
            counts,
            edition,
            html: Html::default(),
        });
        serde_json::to_string(&light)
    }
}

impl Decoder<Result<TokenList, ApiError>> for Light {
    type Error = serde_json::Error;
    type Encoded = str;

    fn decode(text: &str) -> Result<Result<TokenList, ApiError>, serde_json::Error> {
        serde_json::from_slice(text.as_bytes())
    }
}

impl Encoder<Result<Html, ApiError>> for Light {
    type Error = serde_json::Error;
    type Encoded = String;

    fn encode(html: &Result<Html, ApiError>) -> Result<String, serde_json::Error> {
        serde_json::to_string(&html.as_ref().map(|_| Html::default()))
    }
}

impl Decoder<Result<Html, ApiError>> for Light {
    type Error = serde_json::Error;
    type Encoded = str;

    fn decode(text: &str) -> Result<Result<Html, ApiError>, serde_json::Error> {
        serde_json::from_slice(text.as_bytes())
    }
}

impl Encoder<Option<Result<Visitor, ApiError>>> for Light {
    type Error = serde_json::Error;
    type Encoded = String;

    fn encode(visitor: &Option<Result<Visitor, ApiError>>) -> Result<String, serde_json::Error> {
        serde_json::to_string(visitor)
    }
}

impl Decoder<Option<Result<Visitor, ApiError>>> for Light {
    type Error = serde_json::Error;
    type Encoded = str;

    fn decode(text: &str) -> Result<Option<Result<Visitor, ApiError>>, serde_json::Error> {
        serde_json::from_slice(text.as_bytes())
    }
}
