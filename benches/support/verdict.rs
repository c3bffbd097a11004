//! One figure beside its bar, as a line for people and for `RESULTS.md`.

/// What is asked of a figure.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bar {
    /// It is to be above this.
    Above(f64),
    /// It is to be below this.
    Below(f64),
    /// It is only told.
    Told,
}

/// Prints `what | figure | bar | verdict`; true unless the bar is missed.
pub(crate) fn tell(what: &str, figure: f64, unit: &str, bar: Bar) -> bool {
    let (bar, is_met) = match bar {
        Bar::Above(bar) => (format!("above {bar}"), Some(figure > bar)),
        Bar::Below(bar) => (format!("below {bar}"), Some(figure < bar)),
        Bar::Told => ("-".to_owned(), None),
    };
    let verdict = is_met.map_or("", |is_met| if is_met { "PASS" } else { "miss" });
    let digits = if figure.abs() >= 100.0 { 0 } else { 3 };
    println!("| {what} | {figure:.digits$} {unit} | {bar} | {verdict} |");
    is_met != Some(false)
}
