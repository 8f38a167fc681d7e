//! Text that would be SQL stands in every place where a caller's text may stand.

use super::{ids, server};

#[tokio::test]
async fn nothing_that_a_caller_writes_is_sql() {
    let server = server().await;
    let one = server.client(1, 1);
    let whole = ids(&one, "/items?order=id").await;
    let mut answered = 0;
    for text in [
        "' or true --",
        "'; drop table items; --",
        "\"; drop table items; --",
        "\" or \"\" = \"",
        "1) or (true",
        "$1",
        "$$ or true $$",
        "\\'; drop table items",
        "*/ or true /*",
        "id from items; --",
        "x')); delete from items where (('1'='1",
    ] {
        let text: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for path in [
            format!("label=eq.{text}"),
            format!("label=in.(%22{text}%22)"),
            format!("label=like.{text}"),
            format!("label=like(any).%7B{text}%7D"),
            format!("label=plfts({text}).a"),
            format!("label=plfts.{text}"),
            format!("or=(label.eq.{text},id.lt.0)"),
            format!("or=({text}.eq.1)"),
            format!("data-%3E%3E{text}=eq.1"),
            format!("data-%3E%22{text}%22=is.null&id=lt.0"),
            format!("{text}=eq.1"),
            format!("select=id,%22{text}%22:label&id=lt.0"),
            format!("select={text}"),
            format!("select=id::{text}"),
            format!("select=id.{text}()"),
            format!("select=data-%3E%22{text}%22&id=lt.0"),
            format!("select=count()::{text}"),
            format!("select=items({text})"),
            format!("select={text}(id)"),
            format!("select=items!{text}(id)"),
            format!("order={text}"),
            format!("order=data-%3E%22{text}%22&id=lt.0"),
            format!("order=id.{text}"),
            format!("limit={text}"),
            format!("offset={text}"),
            format!("after={text}"),
            format!("modified_since={text}"),
            format!("include={text}"),
            format!("{text}.limit=1"),
        ] {
            let answer = one.get(&format!("/items?{path}")).send().await;
            let status = answer.status.as_u16();
            assert!(
                (200..500).contains(&status) || status == 501,
                "{path}: {status}"
            );
            if status == 200 {
                answered += 1;
                let rows = answer.json();
                assert!(rows.as_array().is_some_and(Vec::is_empty), "{path}: {rows}");
            }
        }
        let resource = one.get(&format!("/{text}")).send().await;
        assert_eq!(resource.status.as_u16(), 404);
    }
    assert!(answered > 50, "{answered}");
    assert_eq!(ids(&one, "/items?order=id").await, whole);
    server.finish().await;
}
