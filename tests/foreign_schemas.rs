//! Schemas that others wrote, served as they are, in single tenancy.

use crate::support::{Client, Database, TestServer};
use rowcast::config::{TenancyMode, WriteAnswer};
use serde_json::{Value, json};

async fn serve(schema: &str) -> TestServer {
    TestServer::start(Database::with(schema).await, |config| {
        config.tenancy.tenancy = TenancyMode::Single;
        config.api.write_answer = WriteAnswer::Minimal;
    })
    .await
}

async fn expect(client: &Client, path: &str, expected: Value) {
    let answer = client.get(path).expect(200).await;
    assert_eq!(answer.json(), expected, "{path}");
}

#[tokio::test]
async fn chinook_has_names_of_mixed_case() {
    let server = serve(include_str!("schemas/chinook.sql")).await;
    let client = server.client(1, 1);
    expect(
        &client,
        "/Artist?select=Name,Album(Title)&ArtistId=lt.3&order=ArtistId&Album.order=Title",
        json!([
            {"Name": "AC/DC", "Album": [
                {"Title": "For Those About To Rock We Salute You"}, {"Title": "Let There Be Rock"}]},
            {"Name": "Accept", "Album": [{"Title": "Balls to the Wall"}]},
        ]),
    )
    .await;
    expect(
        &client,
        "/Playlist?select=Name,Track(TrackId,Genre(Name))&PlaylistId=eq.8",
        json!([{"Name": "Heavy", "Track": [{"TrackId": 2, "Genre": {"Name": "Rock"}}]}]),
    )
    .await;
    expect(
        &client,
        "/Employee?select=LastName,boss:ReportsTo(LastName),Employee(LastName)&EmployeeId=eq.2",
        json!([{"LastName": "Edwards", "boss": {"LastName": "Adams"}, "Employee": [{"LastName": "Peacock"}]}]),
    )
    .await;
    expect(
        &client,
        "/InvoiceLine?select=Quantity,...Invoice(Total,...Customer(LastName))&InvoiceLineId=eq.3",
        json!([{"Quantity": 1, "Total": 0.99, "LastName": "Gonçalves"}]),
    )
    .await;
    let included = client
        .get("/Invoice?InvoiceId=eq.1&include=InvoiceLine(Track(Album(Artist))),Customer(Employee)")
        .expect(200)
        .await
        .json();
    let counts: Vec<(&str, usize)> = included
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, rows)| (name.as_str(), rows.as_array().unwrap().len()))
        .collect();
    for expected in [
        ("Invoice", 1),
        ("Customer", 1),
        ("InvoiceLine", 2),
        ("Employee", 1),
        ("Track", 2),
        ("Album", 2),
        ("Artist", 2),
    ] {
        assert!(counts.contains(&expected), "{expected:?}: {counts:?}");
    }
    let call = client.post("/Genre", json!({"GenreId": 3, "Name": "Metal"}));
    call.expect(201).await;
    let call = client.patch("/Genre?GenreId=eq.3", json!({"Name": "Heavy Metal"}));
    call.expect(204).await;
    expect(
        &client,
        "/Genre/3",
        json!({"GenreId": 3, "Name": "Heavy Metal"}),
    )
    .await;
    client.delete("/Genre/3").expect(204).await;
    server.finish().await;
}

#[tokio::test]
async fn northwind_has_keys_of_several_columns_and_texts() {
    let server = serve(include_str!("schemas/northwind.sql")).await;
    let client = server.client(1, 1);
    expect(
        &client,
        "/customers?select=customer_id,orders(order_id,shippers(company_name))&order=customer_id&limit=1&orders.order=order_id",
        json!([{"customer_id": "ALFKI", "orders": [
            {"order_id": 10248, "shippers": {"company_name": "Speedy Express"}},
            {"order_id": 10250, "shippers": null}]}]),
    )
    .await;
    // Through order_details, whose key is of both of its references.
    expect(
        &client,
        "/orders?select=order_id,products(product_name)&order_id=eq.10248&products.order=product_name",
        json!([{"order_id": 10248, "products": [
            {"product_name": "Aniseed Syrup"}, {"product_name": "Chai"}]}]),
    )
    .await;
    expect(
        &client,
        "/employees?select=first_name,territories(territory_description,region(region_description))&employee_id=eq.5",
        json!([{"first_name": "Steven", "territories": [
            {"territory_description": "Westboro", "region": {"region_description": "Eastern"}}]}]),
    )
    .await;
    // A view shows the columns of the table below it, and relates as that does.
    expect(
        &client,
        "/current_product_list?select=product_id,categories(category_name)&order=product_id",
        json!([
            {"product_id": 1, "categories": {"category_name": "Beverages"}},
            {"product_id": 3, "categories": {"category_name": "Condiments"}}]),
    )
    .await;
    expect(
        &client,
        "/categories?select=category_id,current_product_list(product_id)&order=category_id",
        json!([
            {"category_id": 1, "current_product_list": [{"product_id": 1}]},
            {"category_id": 2, "current_product_list": [{"product_id": 3}]}]),
    )
    .await;
    expect(
        &client,
        "/order_details/10248,3?select=quantity",
        json!({"quantity": 10}),
    )
    .await;
    server.finish().await;
}

#[tokio::test]
async fn pgbench_has_no_foreign_keys() {
    let server = serve(include_str!("schemas/pgbench.sql")).await;
    let client = server.client(1, 1);
    expect(
        &client,
        "/pgbench_tellers?select=tid&bid=eq.1&order=tid&limit=2",
        json!([{"tid": 1}, {"tid": 2}]),
    )
    .await;
    expect(
        &client,
        "/pgbench_history?select=delta&aid=eq.7",
        json!([{"delta": 5}]),
    )
    .await;
    let refused = client
        .get("/pgbench_tellers?select=tid,pgbench_branches(bid)")
        .expect(400)
        .await;
    assert_eq!(refused.problem()["code"], "PGRST200");
    let refused = client
        .get("/pgbench_tellers?include=pgbench_branches")
        .expect(400)
        .await;
    assert_eq!(refused.problem()["code"], "PGRST200");
    let call = client.patch("/pgbench_accounts?aid=eq.7", json!({"abalance": 5}));
    call.expect(204).await;
    expect(
        &client,
        "/pgbench_accounts/7?select=abalance",
        json!({"abalance": 5}),
    )
    .await;
    server.finish().await;
}
