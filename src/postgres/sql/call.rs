//! The call of a function as the source of a query's rows.

use super::{Writer, identifier};
use crate::query::Call;

/// Appends a function's call as a source of rows. Arguments are given by name, so that parameters with
/// defaults may be left out; those without a name come in their order.
pub(super) fn append(writer: &mut Writer, call: &Call) {
    let function = &call.function;
    if call.is_of_nothing() {
        // What gives nothing is called once for each row of it, which is one.
        writer.sql("(select 1 as nothing from ");
    }
    writer
        .sql(&identifier(&function.schema))
        .sql(".")
        .sql(&identifier(&function.name))
        .sql("(");
    writer.separated(", ", &call.arguments, |writer, (place, value)| {
        let parameter = &function.parameters[*place];
        writer.sql(if parameter.is_variadic {
            "variadic "
        } else {
            ""
        });
        if let Some(name) = &parameter.name {
            writer.sql(&identifier(name)).sql(" => ");
        }
        writer.typed(&parameter.type_, value);
    });
    writer.sql(")");
    if call.is_of_nothing() {
        writer.sql(")");
    }
}

/// Appends what the columns of a function's rows are called, where PostgreSQL cannot know.
pub(super) fn append_names(writer: &mut Writer, call: &Call) {
    if call.is_of_values() && !call.is_of_nothing() {
        writer
            .sql(" (")
            .sql(&identifier(&call.function.name))
            .sql(")");
    }
}
