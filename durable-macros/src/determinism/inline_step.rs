//! Finds what an inline step changes outside itself: on replay the step does not run, and the change is lost.
//!
//! It knows assignments and `&mut`, and not what a method such as `push` changes.

use std::collections::HashSet;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

use super::{is_group, is_ident, is_punct};
use crate::diagnostics::Diagnostics;

/// Reports the changes to variables of the body in `arguments`, those of a call of `durable::step`.
pub(super) fn check(arguments: &TokenStream, diagnostics: &mut Diagnostics) {
    let mut own = HashSet::new();
    collect_bindings(arguments, &mut own);
    check_tokens(arguments, &own, diagnostics);
}

/// The names that the step may bind itself: too many rather than too few.
fn collect_bindings(tokens: &TokenStream, names: &mut HashSet<String>) {
    let tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let mut in_pattern = false;
    let mut in_parameters = false;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Ident(ident) if ident == "let" || ident == "for" => in_pattern = true,
            TokenTree::Ident(ident) if ident == "in" => in_pattern = false,
            TokenTree::Punct(punct) if punct.as_char() == '=' => in_pattern = false,
            TokenTree::Punct(punct) if punct.as_char() == ';' => in_pattern = false,
            TokenTree::Punct(punct) if punct.as_char() == '|' => in_parameters = !in_parameters,
            TokenTree::Ident(ident) if in_pattern || in_parameters => {
                names.insert(ident.to_string());
            }
            TokenTree::Group(group) => {
                let is_arm = is_punct(tokens.get(at + 1), '=') && is_punct(tokens.get(at + 2), '>');
                if in_pattern || in_parameters || is_arm {
                    collect_all(&group.stream(), names);
                } else {
                    collect_bindings(&group.stream(), names);
                }
            }
            _ => {}
        }
    }
}

fn collect_all(tokens: &TokenStream, names: &mut HashSet<String>) {
    for token in tokens.clone() {
        match token {
            TokenTree::Ident(ident) => drop(names.insert(ident.to_string())),
            TokenTree::Group(group) => collect_all(&group.stream(), names),
            _ => {}
        }
    }
}

fn check_tokens(tokens: &TokenStream, own: &HashSet<String>, diagnostics: &mut Diagnostics) {
    let tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            check_tokens(&group.stream(), own, diagnostics);
            continue;
        }
        let is_borrowed =
            is_punct(Some(token), '&') && matches!(tokens.get(at + 1), Some(TokenTree::Ident(it)) if it == "mut");
        let (start, length) = match () {
            () if is_borrowed => (at + 2, place_length(&tokens[at + 2..])),
            () if is_statement_start(&tokens, at) => (at, assigned_length(&tokens[at..])),
            () => continue,
        };
        let place = &tokens[start..start + length];
        let Some(root) = place.iter().find(|it| is_ident(Some(it))).map(ToString::to_string) else { continue };
        if own.contains(&root) || !root.starts_with(|it: char| it.is_lowercase() || it == '_') {
            continue;
        }
        let place: TokenStream = place.iter().cloned().collect();
        let fix = "return the changed value from the step, and assign it in the body";
        diagnostics.error_on(
            place,
            format!(
                "a step's changes to variables of the body are not recorded, and are lost when the workflow is recovered: {fix} (`#[workflow(nondeterminism = \"allow\")]` turns this check off)"
            ),
        );
    }
}

fn is_statement_start(tokens: &[TokenTree], at: usize) -> bool {
    match at.checked_sub(1).and_then(|before| tokens.get(before)) {
        None => true,
        Some(TokenTree::Group(_)) => is_ident(tokens.get(at)) || is_punct(tokens.get(at), '*'),
        before => is_punct(before, ';'),
    }
}

/// The number of tokens of the place that a statement assigns to; 0 if it is no assignment.
fn assigned_length(tokens: &[TokenTree]) -> usize {
    let length = place_length(tokens);
    let is_declaration =
        matches!(&tokens[0], TokenTree::Ident(it) if ["let", "type", "const", "static"].iter().any(|word| it == word));
    let is_assignment = match (tokens.get(length), tokens.get(length + 1)) {
        (Some(TokenTree::Punct(punct)), _) if punct.as_char() == '=' => punct.spacing() == Spacing::Alone,
        (Some(TokenTree::Punct(punct)), next) => "+-*/%&|^".contains(punct.as_char()) && is_punct(next, '='),
        _ => false,
    };
    if is_assignment && !is_declaration { length } else { 0 }
}

/// The number of tokens of the place at the start of `tokens`: `order`, `*order`, `order.lines[0].cents`.
fn place_length(tokens: &[TokenTree]) -> usize {
    let stars = tokens.iter().take_while(|it| is_punct(Some(it), '*')).count();
    if !is_ident(tokens.get(stars)) {
        return 0;
    }
    let mut length = stars + 1;
    loop {
        if is_punct(tokens.get(length), '.') && !is_punct(tokens.get(length + 1), '.') {
            if tokens.get(length + 2).is_some_and(|it| is_group(it, Delimiter::Parenthesis)) {
                return length; // a call of a method
            }
            length += 2;
        } else if tokens.get(length).is_some_and(|it| is_group(it, Delimiter::Bracket)) {
            length += 1;
        } else {
            return length.min(tokens.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count_errors(code: &str) -> usize {
        let mut diagnostics = Diagnostics::new();
        check(&code.parse().expect("test code lexes"), &mut diagnostics);
        diagnostics.into_compile_error().to_string().matches("compile_error").count()
    }

    #[test]
    fn a_change_to_a_variable_of_the_body_is_reported_once() {
        for code in [
            "\"a\", async { order.cents = 777; Ok(()) }",
            "\"a\", || async { total += 1; Ok(total) }",
            "\"a\", async { *total -= 1; Ok(()) }",
            "\"a\", async { if paid { lines[0].cents = 1; } Ok(()) }",
            "\"a\", async { let cents = 1; fill(&mut order.lines, cents).await }",
            "\"a\", async { read(&mut buffer).await }",
        ] {
            assert_eq!(count_errors(code), 1, "{code}");
        }
    }

    #[test]
    fn changes_to_variables_of_the_step_are_fine() {
        for code in [
            "\"a\", async { let mut total = 1; total += 2; Ok(total) }",
            "\"a\", async { let (mut a, b) = (1, 2); a = b; read(&mut a).await }",
            "\"a\", || async { for mut line in lines { line.cents = 1; } Ok(()) }",
            "\"a\", || async { match order { Some(mut order) => { order.cents = 1; } None => {} } Ok(()) }",
            "\"a\", async { lines.iter().map(|mut line| { line.cents = 1; line }).collect() }",
            "\"a\", async { if a == b || a >= c && d != e { return Ok(Order { cents: 1 }); } Ok(f(&order, a)) }",
            "\"a\", async { const X: u8 = 1; type Y = u8; let x: Y = X; Ok(x) }",
        ] {
            assert_eq!(count_errors(code), 0, "{code}");
        }
    }
}
