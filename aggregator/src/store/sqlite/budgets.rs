//! Budgets, as they were set last.

use rusqlite::types::Type;
use rusqlite::{Connection, Error, Row, params};

use crate::budget::{Budget, BudgetRule, Scope, Unit};

pub(super) fn put(connection: &Connection, budget: &Budget) -> rusqlite::Result<()> {
    let sql = "INSERT INTO budget (name, scope, of, monthly, unit, amount) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
               ON CONFLICT (name) DO UPDATE SET scope = excluded.scope, of = excluded.of,
                   monthly = excluded.monthly, unit = excluded.unit, amount = excluded.amount";
    let rule = &budget.rule;
    connection.execute(
        sql,
        params![
            budget.name,
            rule.scope.kind(),
            rule.scope.of().unwrap_or_default(),
            rule.monthly,
            rule.unit.as_str(),
            rule.limit,
        ],
    )?;
    Ok(())
}

/// Whether there was one.
pub(super) fn remove(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let removed = connection.execute("DELETE FROM budget WHERE name = ?1", [name])?;
    Ok(removed > 0)
}

pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Budget>> {
    connection
        .prepare_cached("SELECT name, scope, of, monthly, unit, amount FROM budget ORDER BY name")?
        .query_map([], budget)?
        .collect()
}

fn budget(row: &Row<'_>) -> rusqlite::Result<Budget> {
    let unknown = |column, text: String| Error::InvalidColumnType(column, text, Type::Text);
    let (scope, unit): (String, String) = (row.get(1)?, row.get(4)?);
    let mut units = [Unit::Grams, Unit::Joules].into_iter();
    Ok(Budget {
        name: row.get(0)?,
        rule: BudgetRule {
            scope: Scope::from_parts(&scope, row.get(2)?).ok_or_else(|| unknown(1, scope))?,
            monthly: row.get(3)?,
            unit: units
                .find(|known| known.as_str() == unit)
                .ok_or_else(|| unknown(4, unit))?,
            limit: row.get(5)?,
        },
    })
}
