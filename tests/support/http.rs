//! A plain HTTP caller, as curl is one: a token, a method, a path, a body.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{client::legacy::Client as HyperClient, rt::TokioExecutor};
use serde_json::Value;
use std::{net::SocketAddr, time::Duration};

/// How long a test waits for an answer before it fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A caller with one token.
#[derive(Clone)]
pub struct Client {
    pub address: SocketAddr,
    pub token: Option<String>,
    http: HyperClient<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Client {
    pub fn new(address: SocketAddr, token: Option<String>) -> Self {
        let http = HyperClient::builder(TokioExecutor::new()).build_http();
        Self {
            address,
            token,
            http,
        }
    }

    /// The same caller without a token.
    pub fn anonymous(&self) -> Self {
        Self {
            token: None,
            ..self.clone()
        }
    }

    /// The same caller with another token.
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self {
            token: Some(token.into()),
            ..self.clone()
        }
    }

    pub fn request(&self, method: &str, path: &str) -> Call {
        Call {
            client: self.clone(),
            method: method.parse().expect("a method"),
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    pub fn get(&self, path: &str) -> Call {
        self.request("GET", path)
    }

    pub fn post(&self, path: &str, body: Value) -> Call {
        self.request("POST", path).json(body)
    }

    pub fn patch(&self, path: &str, body: Value) -> Call {
        self.request("PATCH", path).json(body)
    }

    pub fn put(&self, path: &str, body: Value) -> Call {
        self.request("PUT", path).json(body)
    }

    pub fn delete(&self, path: &str) -> Call {
        self.request("DELETE", path)
    }
}

/// A request under construction; `send` sends it.
pub struct Call {
    client: Client,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Call {
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a header name");
        self.headers.append(
            name,
            HeaderValue::from_bytes(value.as_bytes()).expect("a header value"),
        );
        self
    }

    #[must_use]
    pub fn json(self, body: Value) -> Self {
        self.body(body.to_string())
            .header("content-type", "application/json")
    }

    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends and returns the answer with its body still open.
    pub async fn open(self) -> http::Response<Incoming> {
        self.try_open(PATIENCE * 4).await.expect("an answer")
    }

    /// As [`Call::open`], where the connection may be refused, cut, or silent for longer than this.
    pub async fn try_open(self, patience: Duration) -> Result<http::Response<Incoming>, String> {
        let mut request = Request::builder()
            .method(self.method)
            .uri(format!("http://{}{}", self.client.address, self.path))
            .body(Full::new(self.body))
            .expect("a request");
        *request.headers_mut() = self.headers;
        if let Some(token) = &self.client.token {
            let value = format!("Bearer {token}").parse().expect("a header value");
            request
                .headers_mut()
                .entry("authorization")
                .or_insert(value);
        }
        match tokio::time::timeout(patience, self.client.http.request(request)).await {
            Err(_) => Err("no answer in time".to_owned()),
            Ok(answer) => answer.map_err(|error| format!("{error:?}")),
        }
    }

    /// As [`Call::send`], where the connection may be refused, cut, or silent for longer than this.
    pub async fn try_send(self, patience: Duration) -> Result<Answer, String> {
        let (head, body) = self.try_open(patience).await?.into_parts();
        let body = match tokio::time::timeout(patience, body.collect()).await {
            Err(_) => return Err("no body in time".to_owned()),
            Ok(body) => body.map_err(|error| format!("{error:?}"))?.to_bytes(),
        };
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    /// Sends and reads the answer whole.
    pub async fn send(self) -> Answer {
        let (head, body) = self.open().await.into_parts();
        let body = tokio::time::timeout(PATIENCE, body.collect())
            .await
            .expect("a body in time")
            .expect("a whole body")
            .to_bytes();
        Answer {
            status: head.status,
            headers: head.headers,
            body,
        }
    }

    /// Sends, and asserts the status.
    #[track_caller]
    pub fn expect(self, status: u16) -> impl Future<Output = Answer> {
        let place = std::panic::Location::caller();
        async move {
            let answer = self.send().await;
            assert_eq!(
                answer.status.as_u16(),
                status,
                "at {place}: {}",
                answer.text()
            );
            answer
        }
    }
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's text; empty when absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("a text header"))
    }

    /// The `Version` header.
    #[track_caller]
    pub fn version(&self) -> u64 {
        self.header("version").parse().expect("a Version header")
    }

    /// The problem's `code`; also asserts that this is a problem document.
    #[track_caller]
    pub fn problem(&self) -> Value {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{}",
            self.text()
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        for field in ["type", "title", "detail", "code"] {
            assert!(
                problem[field].is_string(),
                "a problem lacks {field}: {problem}"
            );
        }
        problem
    }
}
