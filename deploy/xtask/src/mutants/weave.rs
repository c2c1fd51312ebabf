//! Weaves mutants into a source: each mutated expression asks once more which one it is to be, and a process that was told no
//! number runs the program as it was written.
//!
//! ```text
//! a < b        if mutant(17) { a <= b } else { a < b }
//! f(x)?;       if !mutant(18) { f(x)?; }
//! ```
//! What cannot ask (constants, patterns, types, the insides of macros) and what only speaks (`Display`, `Debug`) is left out, and
//! so are tests.

use std::collections::BTreeMap;

use quote::ToTokens as _;
use syn::visit_mut::{self, VisitMut};
use syn::{BinOp, Expr, Stmt, UnOp, parse_quote};

/// One thing that can be changed, in the order of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The line where it begins.
    pub line: usize,
    /// What it becomes, for people.
    pub change: String,
}

/// Every candidate of a source.
///
/// # Errors
/// It is not Rust.
pub fn candidates(source: &str) -> syn::Result<Vec<Candidate>> {
    let mut file = syn::parse_file(source)?;
    let mut weaver = Weaver::new(source, BTreeMap::new(), "");
    weaver.visit_file_mut(&mut file);
    Ok(weaver.found)
}

/// The source with some of its candidates woven in, each under its number; `ask` is the path of the function that is asked.
///
/// # Errors
/// It is not Rust.
pub fn woven(source: &str, chosen: BTreeMap<usize, u32>, ask: &str) -> syn::Result<String> {
    let mut file = syn::parse_file(source)?;
    let mut weaver = Weaver::new(source, chosen, ask);
    weaver.visit_file_mut(&mut file);
    Ok(prettyplease::unparse(&file))
}

struct Weaver {
    lines: Lines,
    chosen: BTreeMap<usize, u32>,
    ask: syn::Path,
    found: Vec<Candidate>,
}

impl Weaver {
    fn new(source: &str, chosen: BTreeMap<usize, u32>, ask: &str) -> Self {
        Self {
            lines: Lines::of(source),
            chosen,
            ask: syn::parse_str(ask).unwrap_or_else(|_| parse_quote!(mutant)),
            found: Vec::new(),
        }
    }

    /// Notes a candidate and answers its number, if it is to be woven in.
    fn note(&mut self, line: usize, change: String) -> Option<u32> {
        self.found.push(Candidate { line, change });
        self.chosen.get(&(self.found.len() - 1)).copied()
    }
}

/// What an expression can become: the kind of change in words, and how it is made of the expression as it is then.
type Change = (String, Make);

/// Makes of an expression what it becomes.
type Make = fn(&Expr) -> Option<Expr>;

impl VisitMut for Weaver {
    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        if matches!(expr, Expr::Const(_) | Expr::Macro(_)) {
            return;
        }
        let line = self.lines.find(&expr.to_token_stream().to_string());
        let wanted: Vec<(u32, Make)> = changes(expr)
            .into_iter()
            .filter_map(|(change, make)| Some((self.note(line, change)?, make)))
            .collect();
        let swaps = self.swaps_of(expr, line);
        match expr {
            Expr::Repeat(repeat) => self.visit_expr_mut(&mut repeat.expr),
            _ => visit_mut::visit_expr_mut(self, expr),
        }
        for (id, one, other) in swaps {
            swap(expr, one, other, id, &self.ask);
        }
        let as_it_is = expr.clone();
        for (id, make) in wanted {
            if let Some(changed) = make(&as_it_is) {
                let ask = &self.ask;
                let before = expr.clone();
                *expr = parse_quote!((if #ask(#id) { #changed } else { #before }));
            }
        }
    }

    fn visit_stmt_mut(&mut self, stmt: &mut Stmt) {
        let id = match stmt {
            Stmt::Expr(expr, Some(_)) if is_act(expr) => {
                let text = expr.to_token_stream().to_string();
                let line = self.lines.find(&text);
                self.note(line, format!("`{}` is left out", short(&text)))
            }
            _ => None,
        };
        visit_mut::visit_stmt_mut(self, stmt);
        if let Some(id) = id {
            let (ask, before) = (&self.ask, stmt.clone());
            *stmt = parse_quote!(if !#ask(#id) { #before });
        }
    }

    fn visit_block_mut(&mut self, block: &mut syn::Block) {
        visit_mut::visit_block_mut(self, block);
        // As a statement an `if` has no parentheses: what follows would be taken for its arguments.
        for stmt in &mut block.stmts {
            if let Stmt::Expr(Expr::Paren(paren), None) = stmt {
                *stmt = Stmt::Expr((*paren.expr).clone(), None);
            }
        }
    }

    fn visit_item_mut(&mut self, item: &mut syn::Item) {
        let skipped = match item {
            syn::Item::Const(_) | syn::Item::Static(_) | syn::Item::Macro(_) => true,
            syn::Item::Enum(_) | syn::Item::Struct(_) | syn::Item::Type(_) => true,
            syn::Item::Fn(item) => item.sig.constness.is_some() || is_test(&item.attrs),
            syn::Item::Mod(item) => is_test(&item.attrs),
            syn::Item::Impl(item) => is_test(&item.attrs) || speaks(item),
            _ => false,
        };
        if !skipped {
            visit_mut::visit_item_mut(self, item);
        }
    }

    fn visit_impl_item_mut(&mut self, item: &mut syn::ImplItem) {
        match item {
            syn::ImplItem::Fn(item) if item.sig.constness.is_none() => {
                visit_mut::visit_impl_item_fn_mut(self, item);
            }
            _ => {}
        }
    }

    // None of these can ask.
    fn visit_pat_mut(&mut self, _: &mut syn::Pat) {}
    fn visit_type_mut(&mut self, _: &mut syn::Type) {}
    fn visit_generic_argument_mut(&mut self, _: &mut syn::GenericArgument) {}
    fn visit_attribute_mut(&mut self, _: &mut syn::Attribute) {}
}

impl Weaver {
    /// Pairs of neighbouring arms whose results can change places.
    fn swaps_of(&mut self, expr: &Expr, line: usize) -> Vec<(u32, usize, usize)> {
        let Expr::Match(found) = expr else {
            return Vec::new();
        };
        let mut swaps = Vec::new();
        for (at, pair) in found.arms.windows(2).enumerate() {
            let [one, other] = pair else { continue };
            let (first, second) = (text_of(&one.body), text_of(&other.body));
            if is_plain(&one.body) && is_plain(&other.body) && first != second {
                let change = format!("`=> {first}` and `=> {second}` change places");
                let id = self.note(line, change);
                swaps.extend(id.map(|id| (id, at, at + 1)));
            }
        }
        swaps
    }
}

fn swap(expr: &mut Expr, one: usize, other: usize, id: u32, ask: &syn::Path) {
    let Expr::Match(found) = expr else { return };
    let pair = (found.arms.get(one), found.arms.get(other));
    let (Some(first), Some(second)) = pair else {
        return;
    };
    let (first, second) = (first.body.clone(), second.body.clone());
    found.arms[one].body = parse_quote!((if #ask(#id) { #second } else { #first }));
    found.arms[other].body = parse_quote!((if #ask(#id) { #first } else { #second }));
}

fn changes(expr: &Expr) -> Vec<Change> {
    let text = || short(&text_of(expr));
    let mut all: Vec<Change> = Vec::new();
    match expr {
        Expr::Binary(binary) => {
            if let Some(op) = other_op(&binary.op)
                && !has_let(expr)
            {
                let op = op.to_token_stream().to_string();
                all.push(
                    (format!("`{}`: the operator becomes `{op}`", text()), |it| {
                        let Expr::Binary(mut binary) = it.clone() else {
                            return None;
                        };
                        binary.op = other_op(&binary.op)?;
                        Some(Expr::Binary(binary))
                    }),
                );
            }
        }
        Expr::Unary(unary) if matches!(unary.op, UnOp::Not(_)) => {
            all.push((format!("`{}`: the negation goes", text()), |it| match it {
                Expr::Unary(unary) => Some((*unary.expr).clone()),
                _ => None,
            }));
        }
        Expr::If(found) if !has_let(&found.cond) => {
            let cond = short(&text_of(&found.cond));
            all.push((format!("`if {cond}` never holds"), |it| {
                with_condition(it, "false")
            }));
            all.push((format!("`if {cond}` always holds"), |it| {
                with_condition(it, "true")
            }));
        }
        Expr::Lit(lit) => match &lit.lit {
            syn::Lit::Bool(found) => {
                let other = !found.value;
                all.push((format!("`{}` becomes `{other}`", found.value), |it| {
                    let Expr::Lit(lit) = it else { return None };
                    let syn::Lit::Bool(found) = &lit.lit else {
                        return None;
                    };
                    let other = !found.value;
                    Some(parse_quote!(#other))
                }));
            }
            syn::Lit::Int(found) if next(found).is_some() => {
                all.push((format!("`{found}` becomes one more"), |it| {
                    let Expr::Lit(lit) = it else { return None };
                    let syn::Lit::Int(found) = &lit.lit else {
                        return None;
                    };
                    let next = next(found)?;
                    Some(parse_quote!(#next))
                }));
            }
            _ => {}
        },
        Expr::MethodCall(call) => {
            if let Some(other) = other_method(&call.method.to_string()) {
                all.push((format!("`{}` becomes `{other}`", text()), |it| {
                    let Expr::MethodCall(mut call) = it.clone() else {
                        return None;
                    };
                    let other = other_method(&call.method.to_string())?;
                    call.method = syn::Ident::new(other, call.method.span());
                    Some(Expr::MethodCall(call))
                }));
            }
        }
        _ => {}
    }
    all
}

fn with_condition(expr: &Expr, value: &str) -> Option<Expr> {
    let Expr::If(mut found) = expr.clone() else {
        return None;
    };
    let value: Expr = syn::parse_str(value).ok()?;
    let cond = &found.cond;
    // Asked all the same, so that the branches see the same types and the same moves.
    found.cond = parse_quote!({ let _ = #cond; #value });
    Some(Expr::If(found))
}

fn other_op(op: &BinOp) -> Option<BinOp> {
    Some(match op {
        BinOp::Lt(_) => parse_quote!(<=),
        BinOp::Le(_) => parse_quote!(<),
        BinOp::Gt(_) => parse_quote!(>=),
        BinOp::Ge(_) => parse_quote!(>),
        BinOp::Eq(_) => parse_quote!(!=),
        BinOp::Ne(_) => parse_quote!(==),
        BinOp::And(_) => parse_quote!(||),
        BinOp::Or(_) => parse_quote!(&&),
        _ => return None,
    })
}

/// Methods with the same types that say something else.
fn other_method(name: &str) -> Option<&'static str> {
    Some(match name {
        "any" => "all",
        "all" => "any",
        "is_some" => "is_none",
        "is_none" => "is_some",
        "is_ok" => "is_err",
        "is_err" => "is_ok",
        "checked_add" => "checked_sub",
        "checked_sub" => "checked_add",
        "min" => "max",
        "max" => "min",
        _ => return None,
    })
}

fn next(found: &syn::LitInt) -> Option<syn::LitInt> {
    let value: u64 = found.base10_parse().ok()?;
    // A byte with one more would be no byte.
    let next = value.checked_add(1).filter(|next| *next < 0x80)?;
    let text = format!("{next}{}", found.suffix());
    Some(syn::LitInt::new(&text, found.span()))
}

/// Whether a condition binds names: it can be nothing but a condition.
fn has_let(expr: &Expr) -> bool {
    match expr {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        Expr::Paren(paren) => has_let(&paren.expr),
        _ => false,
    }
}

/// Whether a statement only acts: a call, or an assignment.
fn is_act(expr: &Expr) -> bool {
    match expr {
        Expr::Call(_) | Expr::MethodCall(_) | Expr::Assign(_) => true,
        Expr::Try(tried) => is_act(&tried.expr),
        Expr::Binary(binary) => matches!(
            binary.op,
            BinOp::AddAssign(_) | BinOp::SubAssign(_) | BinOp::BitOrAssign(_)
        ),
        _ => false,
    }
}

/// Whether the result of an arm stands without what its pattern binds.
fn is_plain(expr: &Expr) -> bool {
    match expr {
        Expr::Lit(_) => true,
        Expr::Path(path) => path.path.segments.len() > 1,
        Expr::Call(call) => is_plain(&call.func) && call.args.iter().all(is_plain),
        Expr::Tuple(tuple) => tuple.elems.iter().all(is_plain),
        _ => false,
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg")
                && attribute
                    .meta
                    .to_token_stream()
                    .to_string()
                    .contains("test"))
    })
}

fn speaks(item: &syn::ItemImpl) -> bool {
    let name = item
        .trait_
        .as_ref()
        .and_then(|(_, path, _)| path.segments.last());
    name.is_some_and(|name| name.ident == "Display" || name.ident == "Debug")
}

fn text_of(expr: &Expr) -> String {
    expr.to_token_stream().to_string()
}

/// The first letters of a text, on one line.
fn short(text: &str) -> String {
    const LETTERS_MAX: usize = 90;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(LETTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Finds the lines of expressions, which come in the order of the source and without their places.
struct Lines {
    /// The source without white space and comments, and the line of each byte of it.
    dense: String,
    lines: Vec<usize>,
    at: usize,
}

impl Lines {
    fn of(source: &str) -> Self {
        let (mut dense, mut lines) = (String::new(), Vec::new());
        for (number, line) in source.lines().enumerate() {
            let trimmed = line.trim_start();
            let code = if trimmed.starts_with("//") {
                ""
            } else {
                line.split(" // ").next().unwrap_or(line)
            };
            for letter in code.chars().filter(|letter| !letter.is_whitespace()) {
                dense.push(letter);
                lines.extend(std::iter::repeat_n(number + 1, letter.len_utf8()));
            }
        }
        Self {
            dense,
            lines,
            at: 0,
        }
    }

    /// The line on which the next expression of these tokens begins; that of the one before where it is not found.
    fn find(&mut self, tokens: &str) -> usize {
        let wanted: String = tokens.chars().filter(|it| !it.is_whitespace()).collect();
        if let Some(found) = self.dense[self.at..].find(&wanted) {
            self.at += found;
        }
        self.lines.get(self.at).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &[(usize, &str)]) {
        let found = candidates(source).expect("it is Rust");
        let found: Vec<(usize, &str)> = found
            .iter()
            .map(|it| (it.line, it.change.as_str()))
            .collect();
        assert_eq!(found, expected, "{source}");
    }

    fn check_woven(source: &str, chosen: usize, expected: &str) {
        let woven = woven(source, [(chosen, 7)].into(), "crate::mutant").expect("it is Rust");
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(plain(&woven), plain(expected));
    }

    #[test]
    fn each_kind_of_change_is_found_on_its_line() {
        check(
            "fn f(a: u8, b: u8) -> bool {\n    // a == b\n    if a < b {\n        return true;\n    }\n    g(a)?;\n    !x.any(h)\n}\n",
            &[
                (3, "`if a < b` never holds"),
                (3, "`if a < b` always holds"),
                (3, "`a < b`: the operator becomes `<=`"),
                (4, "`true` becomes `false`"),
                (6, "`g (a) ?` is left out"),
                (7, "`! x . any (h)`: the negation goes"),
                (7, "`x . any (h)` becomes `all`"),
            ],
        );
        check(
            "fn f(a: A) -> B {\n    match a {\n        A::X => B::X,\n        A::Y(b) => b,\n        A::Z => B::Z,\n        A::W => B::W,\n    }\n}\n",
            &[(2, "`=> B :: Z` and `=> B :: W` change places")],
        );
    }

    #[test]
    fn what_cannot_ask_is_left_out() {
        for source in [
            "const A: u8 = 1 + 1;",
            "const fn f(a: u8) -> bool { a < 1 }",
            "fn f(a: A) { if let A { x: 1 } = a {} }",
            "fn f() -> [u8; 4] { assert!(a < b); g::<3>() }",
            "#[cfg(test)] mod tests { fn f() -> bool { true } }",
            "impl fmt::Display for A { fn fmt(&self) -> bool { true } }",
        ] {
            check(source, &[]);
        }
    }

    #[test]
    fn what_is_chosen_asks_and_the_rest_stands_as_it_was() {
        check_woven(
            "fn f() -> bool { a == b && c }",
            1,
            "fn f() -> bool { (if crate::mutant(7u32) { a != b } else { a == b }) && c }",
        );
        check_woven(
            "fn f() { if a { return; } g(); }",
            0,
            "fn f() { if crate::mutant(7u32) { if { let _ = a; false } { return; } } else { if a { return; } } g(); }",
        );
        check_woven(
            "fn f() { g()?; h() }",
            0,
            "fn f() { if !crate::mutant(7u32) { g()?; } h() }",
        );
    }
}
