//! The table of routes. The only user of warp.

mod accept;
mod actions;
mod asynchronous;
mod batch;
mod body;
mod channels;
mod conditions;
mod connection;
mod credentials;
mod deflate;
mod expiry;
mod functions;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod head;
mod health;
mod issue;
mod keys;
mod long_poll;
mod media;
mod page;
mod passes;
mod preferences;
mod profile;
mod question;
mod range;
mod reader;
mod reads;
mod reply;
mod requests;
mod route;
mod signals;
mod stream;
mod streams;
mod unread;
mod websocket;
mod writes;

pub use asynchronous::Asynchronous;
pub use channels::Channels;
pub use connection::Connection;
pub use credentials::Callers;
pub use health::Readiness;
pub use page::Page;
pub use profile::Profiles;
pub use reads::Reads;
pub use reply::{
    ACTION_ID, CHANNEL_ID, CURSOR, IDEMPOTENCY_REPLAYED, NEXT, PREFER, PREFERENCE_APPLIED,
    PRIORITY, SEQUENCE, VERSION, of_error, with_range,
};
pub use requests::Progress;
pub use signals::Topics;
pub use stream::ClientStream;
pub use warp::reply::Response;
pub use writes::Writes;

pub use crate::wire::status;

use crate::{catalog::OWN_NAMES, config::Limits};
use asynchronous::Target;
use head::{Segment, head};
use route::{boxed, first_of, nowhere, one, otherwise, own_names, two, under_own_names, with};
use signals::Topic;
use std::sync::Arc;
use warp::{Filter, delete, filters::BoxedFilter, get, patch, path, post, put};

/// Those among them that this version does not serve.
const NOT_YET: [&str; 4] = ["metrics", "openapi.json", "asyncapi.json", "docs"];

/// What the routes lead to.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "each is documented where it is declared")]
pub struct Handlers {
    pub reads: Arc<Reads>,
    pub writes: Arc<Writes>,
    pub channels: Arc<Channels>,
    pub progress: Arc<Progress>,
    pub topics: Arc<Topics>,
    pub callers: Arc<Callers>,
    pub readiness: Arc<Readiness>,
    pub page: Option<Arc<Page>>,
}

#[rustfmt::skip] // One line for each route, so that it reads as a table.
/// All routes. They never reject: what they do not know is answered with a problem document.
pub fn routes(limits: &Limits, to: &Handlers) -> BoxedFilter<(Response,)> {
    let body = || body::body(limits.into());
    let (reads, writes) = (|| with(&to.reads), || with(&to.writes));
    let channels = || with(&to.channels);
    let read = || get().or(warp::head()).unify();

    let channel = || path!("channels" / Segment);
    let acks = || path!("channels" / Segment / "ack");
    let auths = || path!("channels" / Segment / "auth");
    let channel_routes = first_of([
        boxed(channel().and(get()).and(head()).and(channels()).then(channels::attach)),
        boxed(channel().and(delete()).and(head()).and(channels()).then(channels::end)),
        otherwise(one(channel()), "GET, DELETE, OPTIONS"),
        boxed(acks().and(post()).and(head()).and(body()).and(channels()).then(channels::acknowledge)),
        otherwise(one(acks()), "POST, OPTIONS"),
        boxed(auths().and(post()).and(head()).and(body()).and(channels()).then(channels::renew)),
        otherwise(one(auths()), "POST, OPTIONS"),
    ]);

    let topics = || with(&to.topics);
    let simple = || path!("channels" / Segment / "topics" / Segment).map(|id, topic| (id, Topic::one(&topic))).untuple_one();
    let row = || path!("channels" / Segment / "topics" / Segment / Segment).map(|id, resource, key| (id, Topic::two(&resource, &key))).untuple_one();
    let member = || simple().or(row()).unify();
    let crowd = || path!("topics" / Segment / "presence").map(|topic| Topic::one(&topic));
    let viewers = || path!("topics" / Segment / Segment / "presence").map(|resource, key| Topic::two(&resource, &key));
    let present = || crowd().or(viewers()).unify();
    let signals = || path!("signals");
    let topic_routes = first_of([
        boxed(member().and(put()).and(head()).and(body()).and(topics()).then(signals::join)),
        boxed(member().and(delete()).and(head()).and(topics()).then(signals::leave)),
        otherwise(two(member()), "PUT, DELETE, OPTIONS"),
        boxed(present().and(read()).and(head()).and(topics()).then(signals::presence)),
        otherwise(one(present()), "GET, HEAD, OPTIONS"),
        boxed(signals().and(post()).and(head()).and(body()).and(topics()).then(signals::send)),
        otherwise(signals(), "POST, OPTIONS"),
    ]);

    let request = || path!("requests" / Segment);
    let progress = || with(&to.progress);
    let request_routes = first_of([
        boxed(request().and(read()).and(head()).and(progress()).then(requests::show)),
        boxed(request().and(delete()).and(head()).and(progress()).then(requests::cancel)),
        otherwise(one(request()), "GET, HEAD, DELETE, OPTIONS"),
    ]);

    let passes = || path!("passes");
    let pass_routes = first_of([
        boxed(passes().and(post()).and(head()).and(body()).and(with(&to.callers)).then(issue::issue)),
        otherwise(passes(), "POST, OPTIONS"),
    ]);

    let functions = || path!("rpc" / Segment);
    let function_routes = first_of([
        boxed(functions().and(read()).and(head()).and(reads()).and(writes()).then(functions::read)),
        boxed(functions().and(post()).and(head()).and(body()).and(reads()).and(writes()).then(functions::call)),
        otherwise(one(functions()), "GET, HEAD, POST, OPTIONS"),
    ]);
    let batches = || path!("batch");
    let batch_routes = first_of([
        boxed(batches().and(post()).and(head()).and(body()).and(writes()).then(batch::batch)),
        otherwise(batches(), "POST, OPTIONS"),
    ]);

    let health_routes = first_of([
        boxed(path!("health").and(read()).then(health::health)),
        otherwise(path!("health"), "GET, HEAD, OPTIONS"),
        boxed(path!("ready").and(read()).and(with(&to.readiness)).then(health::ready)),
        otherwise(path!("ready"), "GET, HEAD, OPTIONS"),
    ]);

    // A list and its items are at the root, and under /resources whatever the name.
    let lists = || path!(Segment).or(path!("resources" / Segment)).unify();
    let list_of = || lists().map(|resource| Target { resource, id: None });
    let list_routes = first_of([
        boxed(lists().and(read()).and(head()).and(reads()).then(reads::list)),
        boxed(lists().and(post()).and(head()).and(body()).and(writes()).then(writes::create)),
        boxed(list_of().and(patch()).and(head()).and(body()).and(writes()).then(writes::update)),
        boxed(list_of().and(put()).and(head()).and(body()).and(writes()).then(writes::replace)),
        boxed(list_of().and(delete()).and(head()).and(writes()).then(writes::delete)),
        otherwise(one(lists()), "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
    ]);
    let items = || path!(Segment / Segment).or(path!("resources" / Segment / Segment)).unify();
    let item_of = || items().map(|resource, id| Target { resource, id: Some(id) });
    // A query in a body; no item has a POST of its own.
    let questions = || path!(Segment / "query").or(path!("resources" / Segment / "query")).unify();
    // The secret key of a row.
    let row_keys = || path!(Segment / Segment / "key").or(path!("resources" / Segment / Segment / "key")).unify();
    let item_routes = first_of([
        boxed(row_keys().and(read()).and(head()).and(reads()).then(keys::show)),
        otherwise(two(row_keys()), "GET, HEAD, OPTIONS"),
        boxed(questions().and(post()).and(head()).and(body()).and(reads()).then(question::query)),
        boxed(items().and(read()).and(head()).and(reads()).then(reads::item)),
        boxed(item_of().and(patch()).and(head()).and(body()).and(writes()).then(writes::update)),
        boxed(item_of().and(put()).and(head()).and(body()).and(writes()).then(writes::replace)),
        boxed(item_of().and(delete()).and(head()).and(writes()).then(writes::delete)),
        otherwise(two(items()), "GET, HEAD, PATCH, PUT, DELETE, OPTIONS"),
    ]);

    let own = first_of([
        channel_routes, topic_routes, request_routes, pass_routes, batch_routes, function_routes,
        health_routes, own_names(),
    ]);
    let all = first_of([under_own_names(own), list_routes, item_routes, nowhere()]);
    match &to.page {
        Some(page) => page::routes(page).or(all).unify().boxed(),
        None => all,
    }
}
