//! A statement while it is written: its text, and the values that its parameters stand for.

use super::identifier;
use crate::{
    catalog::{Column, ColumnType, Resource},
    postgres::params,
    query::value::Value,
};

/// A statement with its parameters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rendered {
    pub(crate) sql: String,
    pub(crate) parameters: Vec<Value>,
}

/// Writes a statement. Names are quoted and values become parameters on the way.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    rendered: Rendered,
    /// How many names were given.
    names: u32,
    /// Rows may be records, whose types PostgreSQL has to be told.
    records: bool,
}

impl Writer {
    /// The statement.
    pub(crate) fn finish(self) -> Rendered {
        self.rendered
    }

    /// From here on, rows may be those that a statement returned, which are of no type.
    pub(super) fn of_records(&mut self) {
        self.records = true;
    }

    /// A name for rows that no other rows of the statement have; columns have no such names, since they
    /// are always written with the name of their rows.
    pub(super) fn alias(&mut self, letter: char) -> String {
        self.names += 1;
        format!("{letter}{}", self.names)
    }

    /// Appends SQL text of ours.
    pub(crate) fn sql(&mut self, text: &str) -> &mut Self {
        self.rendered.sql.push_str(text);
        self
    }

    /// Appends the name of a relation.
    pub(crate) fn relation(&mut self, resource: &Resource) -> &mut Self {
        self.sql(&identifier(&resource.schema))
            .sql(".")
            .sql(&identifier(&resource.table))
    }

    /// Appends the name of a column of the relation called `alias`.
    pub(crate) fn column(&mut self, alias: &str, column: &Column) -> &mut Self {
        self.sql(alias).sql(".").sql(&identifier(&column.name))
    }

    /// Appends the whole row called `alias`, of the type of its relation.
    pub(super) fn row(&mut self, alias: &str, resource: &Resource) -> &mut Self {
        if !self.records {
            return self.sql(alias);
        }
        self.sql("row(");
        self.separated(", ", &resource.columns, |writer, column| {
            writer.column(alias, column);
        });
        self.sql(")::").relation(resource)
    }

    /// Appends a parameter of the column's type.
    pub(crate) fn value(&mut self, column: &Column, value: &Value) -> &mut Self {
        self.typed(&column.type_, value)
    }

    /// Appends a parameter of this type.
    pub(crate) fn typed(&mut self, type_: &ColumnType, value: &Value) -> &mut Self {
        self.rendered.parameters.push(value.clone());
        let number = self.rendered.parameters.len();
        self.sql(&params::expression(value.form(), type_, number))
    }

    /// Appends a parameter that is a text.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.parameter(&Value::trusted(text), "text")
    }

    /// Appends a parameter of the type of this name.
    pub(crate) fn parameter(&mut self, value: &Value, type_: &'static str) -> &mut Self {
        self.rendered.parameters.push(value.clone());
        let number = self.rendered.parameters.len();
        self.sql(&format!("${number}::{type_}"))
    }

    /// Appends a parameter that is a number of rows.
    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        self.rendered.parameters.push(Value::number(number));
        let place = self.rendered.parameters.len();
        self.sql(&format!("${place}::bigint"))
    }

    /// Appends a parameter that is an array of this type.
    pub(crate) fn typed_list(&mut self, type_: &ColumnType, value: &Value) -> &mut Self {
        self.rendered.parameters.push(value.clone());
        let number = self.rendered.parameters.len();
        self.sql(&params::list_expression(type_, number))
    }

    /// Appends a parameter that is a JSON text.
    pub(crate) fn json(&mut self, json: &str) -> &mut Self {
        self.rendered.parameters.push(Value::trusted(json));
        let number = self.rendered.parameters.len();
        self.sql(&format!("${number}::json"))
    }

    /// Appends a parameter that is an array of texts.
    pub(crate) fn texts(&mut self, texts: &[String]) -> &mut Self {
        let json = serde_json::Value::from(texts).to_string();
        self.sql("array(select json_array_elements_text(")
            .json(&json)
            .sql("))")
    }

    /// Appends the equality operator of the column's type. The type's own operator need not be in the
    /// search path; PostgreSQL's own are found by their name alone, for operands of any types.
    pub(crate) fn equals(&mut self, column: &Column) -> &mut Self {
        match &column.equality {
            Some(operator) if &*operator.schema != "pg_catalog" => self
                .sql(" operator(")
                .sql(&identifier(&operator.schema))
                .sql(".")
                .sql(&operator.name)
                .sql(") "),
            _ => self.sql(" = "),
        }
    }

    /// Appends `items`, with `separator` between them.
    pub(crate) fn separated<T>(
        &mut self,
        separator: &str,
        items: impl IntoIterator<Item = T>,
        mut append: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.sql(separator);
            }
            append(self, item);
        }
        self
    }
}
