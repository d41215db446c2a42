//! Draws the structure as SVG: crates by floor, their modules in rows, and arrows between crates.
//!
//! The picture has a background of its own, so that it can be read on a light and on a dark page.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::circles::floors;
use super::survey::{CrateSurvey, Survey};
use super::workspace::TargetKind;

const WIDTH: usize = 1200;
const MARGIN: usize = 20;
/// Space between crates side by side.
const GAP: usize = 14;
/// Space between floors, for the arrows.
const FLOOR_GAP: usize = 56;
const TITLE: usize = 44;
const CHIP_HEIGHT: usize = 22;
const CHIP_GAP: usize = 6;
/// Space between rows of modules of which the upper one imports from the lower one.
const ROW_GAP: usize = 14;
/// Of a letter of a module's name in the picture's font.
const LETTER: usize = 8;
/// Room for a number of lines.
const NUMBER: usize = 36;
const CAPTION: &str = "A crate depends on those its arrows lead to, and on those they lead to. A module imports only \
                       from rows below its own; red modules import from each other in a circle.";

/// A module directly below the crate's root with all modules below it.
struct Chip {
    name: String,
    lines: usize,
    row: usize,
    in_circle: bool,
}

/// A crate's box.
struct Package {
    name: String,
    chips: Vec<Chip>,
    files: usize,
    floor: usize,
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

/// Returns the picture as the text of an SVG file.
pub(crate) fn draw(survey: &Survey) -> String {
    let arrows = package_arrows(survey);
    let floors = floors(survey.packages.len(), &arrows);
    let mut packages: Vec<_> =
        (0..survey.packages.len()).map(|place| package(survey, place, floors[place])).collect();
    let height = lay_out(&mut packages);
    let mut svg = String::new();
    head(&mut svg, height);
    packages.iter().for_each(|package| draw_package(&mut svg, package));
    for (from, to) in direct(&arrows) {
        draw_arrow(&mut svg, &packages[from], &packages[to]);
    }
    let _ = writeln!(svg, "  <text x=\"{MARGIN}\" y=\"{}\" class=\"small\">{CAPTION}</text>", height - 14);
    svg + "</svg>\n"
}

/// Returns the picture without the numbers of lines, which change with every edit.
pub(crate) fn without_numbers(picture: &str) -> String {
    let mut parts = picture.split("<tspan class=\"n\"");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text += part.split_once("</tspan>").map_or("", |(_, rest)| rest);
    }
    text
}

fn package_arrows(survey: &Survey) -> Vec<(usize, usize)> {
    let place = |name: &str| survey.packages.iter().position(|package| package.name == name);
    let packages = survey.packages.iter().enumerate();
    packages
        .flat_map(|(from, package)| package.dependencies.iter().map(move |name| (from, name)))
        .filter_map(|(from, name)| Some((from, place(name)?)))
        .collect()
}

/// Leaves out the arrows that a longer way implies.
fn direct(arrows: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let next = |from: usize| arrows.iter().filter(move |arrow| arrow.0 == from).map(|arrow| arrow.1);
    let reaches = |from: usize, to: usize| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(node) = open.pop() {
            if node == to {
                return true;
            }
            if seen.insert(node) {
                open.extend(next(node));
            }
        }
        false
    };
    let implied = |&(from, to): &(usize, usize)| next(from).any(|via| via != to && reaches(via, to));
    arrows.iter().copied().filter(|arrow| !implied(arrow)).collect()
}

fn package(survey: &Survey, place: usize, floor: usize) -> Package {
    let crates =
        survey.crates.iter().filter(|krate| krate.package == place && krate.kind != TargetKind::Test);
    let mut chips = Vec::new();
    let mut files = 0;
    for krate in crates {
        files += krate.source.files.len();
        chips.extend(chips_of(krate));
    }
    chips.sort_by(|a, b| (b.row, &a.name).cmp(&(a.row, &b.name)));
    let name = survey.packages[place].name.clone();
    Package { name, chips, files, floor, x: 0, y: 0, width: 0, height: 0 }
}

fn chips_of(krate: &CrateSurvey) -> Vec<Chip> {
    let mut places = BTreeMap::new();
    let mut chips: Vec<Chip> = Vec::new();
    let mut chip_of_file = Vec::new();
    for (file, source) in krate.source.files.iter().enumerate() {
        let top = source.module.split("::").next().unwrap_or_default().to_owned();
        let place = *places.entry(top.clone()).or_insert_with(|| {
            let name = if top.is_empty() { root_name(krate) } else { top };
            chips.push(Chip { name, lines: 0, row: 0, in_circle: false });
            chips.len() - 1
        });
        chips[place].lines += source.lines;
        chips[place].in_circle |= krate.circles.iter().any(|circle| circle.contains(&file));
        chip_of_file.push(place);
    }
    let arrows: BTreeSet<_> =
        krate.arrows.keys().map(|&(from, to)| (chip_of_file[from], chip_of_file[to])).collect();
    let arrows: Vec<_> = arrows.into_iter().filter(|(from, to)| from != to).collect();
    for (chip, row) in chips.iter_mut().zip(floors(places.len(), &arrows)) {
        chip.row = row;
    }
    chips
}

fn root_name(krate: &CrateSurvey) -> String {
    let path = &krate.source.files[0].path;
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Sets the places and sizes of the boxes. Returns the picture's height.
fn lay_out(packages: &mut [Package]) -> usize {
    let top = packages.iter().map(|package| package.floor).max().unwrap_or(0);
    let mut y = MARGIN;
    for floor in (0..=top).rev() {
        let count = packages.iter().filter(|package| package.floor == floor).count().max(1);
        let width = (WIDTH - 2 * MARGIN - GAP * (count - 1)) / count;
        let mut height = 0;
        for (place, package) in packages.iter_mut().filter(|package| package.floor == floor).enumerate() {
            (package.x, package.y, package.width) = (MARGIN + place * (width + GAP), y, width);
            package.height = chip_places(package).last().map_or(TITLE, |last| last.1 + CHIP_HEIGHT - y + 10);
            height = height.max(package.height);
        }
        y += height + if floor == 0 { 40 } else { FLOOR_GAP };
    }
    y
}

/// Returns the left upper corners of a crate's modules: a row for each floor, broken where it is full.
fn chip_places(package: &Package) -> Vec<(usize, usize)> {
    let (mut x, mut y) = (package.x + 10, package.y + TITLE);
    let mut row = package.chips.first().map_or(0, |chip| chip.row);
    let mut places = Vec::new();
    for chip in &package.chips {
        let full = x > package.x + 10 && x + chip_width(chip) + 10 > package.x + package.width;
        if chip.row != row || full {
            x = package.x + 10;
            y += CHIP_HEIGHT + if chip.row == row { CHIP_GAP } else { ROW_GAP };
            row = chip.row;
        }
        places.push((x, y));
        x += chip_width(chip) + CHIP_GAP;
    }
    places
}

fn chip_width(chip: &Chip) -> usize {
    chip.name.len() * LETTER + NUMBER + 12
}

fn head(svg: &mut String, height: usize) {
    *svg += &format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="12">
  <!-- drawn by `cargo xtask structure` -->
  <style>
    .crate {{ fill: #f4f6f8; stroke: #5b6b7b; stroke-width: 1.5 }}
    .module {{ fill: #ffffff; stroke: #a9b5c1 }}
    .circle {{ fill: #ffe3e0; stroke: #c92a2a; stroke-width: 1.5 }}
    .name {{ font-weight: bold; font-size: 14px }}
    .small, .n {{ font-size: 11px; font-weight: normal; fill: #5b6b7b }}
    .arrow {{ stroke: #1864ab; stroke-width: 1.5; fill: none; opacity: 0.8 }}
    text {{ fill: #1b2733 }}
  </style>
  <defs><marker id="a" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 L10 5 L0 10 z" fill="#1864ab"/></marker></defs>
  <rect width="{WIDTH}" height="{height}" fill="#ffffff"/>
"##
    );
}

fn draw_package(svg: &mut String, package: &Package) {
    let Package { name, x, y, width, height, files, .. } = package;
    let lines: usize = package.chips.iter().map(|chip| chip.lines).sum();
    let _ = writeln!(
        svg,
        "  <rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"8\" class=\"crate\"/>\n  \
         <text x=\"{}\" y=\"{}\" class=\"name\">{name}</text>\n  \
         <text x=\"{}\" y=\"{}\" class=\"small\">{files} modules<tspan class=\"n\">, {lines} lines</tspan></text>",
        x + 10,
        y + 19,
        x + 10,
        y + 35
    );
    for (chip, (x, y)) in package.chips.iter().zip(chip_places(package)) {
        let class = if chip.in_circle { "circle" } else { "module" };
        let _ = writeln!(
            svg,
            "  <rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{CHIP_HEIGHT}\" rx=\"4\" class=\"{class}\"/>\
             <text x=\"{}\" y=\"{}\">{} <tspan class=\"n\">{}</tspan></text>",
            chip_width(chip),
            x + 6,
            y + 15,
            chip.name,
            chip.lines
        );
    }
}

/// Draws a curve from the lower edge of a box to the upper edge of another.
fn draw_arrow(svg: &mut String, from: &Package, to: &Package) {
    let start = to.x + to.width / 2;
    let (x1, x2) = (start.clamp(from.x + 40, from.x + from.width - 40), to.x + to.width / 2);
    let (y1, y2) = (from.y + from.height, to.y);
    let middle = FLOOR_GAP.min(y2.saturating_sub(y1)) / 2;
    let _ = writeln!(
        svg,
        "  <path d=\"M{x1} {y1} C{x1} {}, {x2} {}, {x2} {y2}\" class=\"arrow\" marker-end=\"url(#a)\"/>",
        y1 + middle,
        y2 - middle
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn implied_arrows_are_left_out() {
        assert_eq!(direct(&[(0, 1), (1, 2), (0, 2)]), [(0, 1), (1, 2)]);
    }

    #[test]
    fn numbers_of_lines_do_not_make_a_picture_stale() {
        let old = "<text>a <tspan class=\"n\">12</tspan></text><text>b</text>";
        assert_eq!(without_numbers(old), without_numbers(&old.replace("12", "345")));
        assert_ne!(without_numbers(old), without_numbers(&old.replace('b', "c")));
    }
}
