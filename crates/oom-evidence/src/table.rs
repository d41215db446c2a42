//! The table of processes: `[  pid  ]   uid  tgid total_vm      rss ... name`.

use crate::kernel::NAME_MAX;
use crate::report::{Report, Task, Victim};
use crate::scan;

/// Page sizes of kernels; any other ratio of sizes is ignored.
const PAGE_SIZES: [u64; 5] = [4096, 8192, 16_384, 65_536, 262_144];

/// The columns of a table. Kernels have added, renamed and removed columns, and vendors have their own. So the head
/// decides, not the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Columns {
    uid: Option<usize>,
    total_vm: usize,
    rss: usize,
    swap: Option<usize>,
    oom_score_adj: Option<usize>,
    /// Number of columns before the name; none if the head is cut and the name cannot be found.
    before_name: Option<usize>,
}

/// Parses the head of a table.
pub(crate) fn columns(message: &[u8]) -> Option<Columns> {
    let (inner, rest) = scan::cut(message.strip_prefix(b"[")?, b"]")?;
    if inner.trim_ascii() != b"pid" {
        return None;
    }
    let names: Vec<&[u8]> = rest.split(|b| *b == b' ').filter(|name| !name.is_empty()).take(32).collect();
    let at = |wanted: &[u8]| names.iter().position(|name| *name == wanted);
    Some(Columns {
        uid: at(b"uid"),
        total_vm: at(b"total_vm")?,
        rss: at(b"rss")?,
        swap: at(b"swapents"),
        oom_score_adj: at(b"oom_score_adj"),
        before_name: at(b"name"),
    })
}

/// Guesses the columns of a table without a head from its first row. The first four are the same in all kernels, and
/// the count of numbers shows where the name begins.
pub(crate) fn columns_of_row(message: &[u8]) -> Option<Columns> {
    let (inner, rest) = scan::cut(message.strip_prefix(b"[")?, b"]")?;
    scan::id(inner.trim_ascii()).filter(|(_, rest)| rest.is_empty())?;
    let words = rest.split(|b| *b == b' ').filter(|word| !word.is_empty());
    let is_number = |word: &&[u8]| scan::signed(word).is_some_and(|(_, rest)| rest.is_empty());
    let numbers = words.take_while(is_number).count();
    let columns = Columns {
        uid: Some(0),
        total_vm: 2,
        rss: 3,
        swap: None,
        oom_score_adj: None,
        before_name: Some(numbers),
    };
    // 2.6.28; 2.6.36, 3.8 and 4.19; 4.0; 6.8.
    matches!(numbers, 6 | 7 | 8 | 10).then_some(columns)
}

/// A row, in pages.
#[derive(Debug)]
pub(crate) struct Row {
    pid: u32,
    uid: Option<u32>,
    total_vm: u64,
    rss: u64,
    swap: Option<u64>,
    oom_score_adj: Option<i64>,
    name: Option<Box<[u8]>>,
}

/// Parses a row. A name may begin with blanks: exactly one blank stands before it.
pub(crate) fn row(columns: &Columns, message: &[u8]) -> Option<Row> {
    let (inner, mut rest) = scan::cut(message.strip_prefix(b"[")?, b"]")?;
    let (pid, _) = scan::id(inner.trim_ascii()).filter(|(_, rest)| rest.is_empty())?;
    let mut values = [None; 32];
    let wanted = columns.before_name.unwrap_or(values.len());
    for value in values.iter_mut().take(wanted) {
        rest = scan::skip_blanks(rest);
        let Some((found, after)) =
            scan::signed(rest).filter(|(_, after)| after.first().is_none_or(|b| *b == b' '))
        else {
            break;
        };
        (*value, rest) = (Some(found), after);
    }
    let value = |at: usize| values.get(at).copied().flatten();
    let count = |at: usize| value(at).and_then(|value| u64::try_from(value).ok());
    let is_complete = columns
        .before_name
        .is_some_and(|count| values[..count.min(values.len())].iter().all(Option::is_some));
    let name = rest.strip_prefix(b" ").filter(|_| is_complete);
    Some(Row {
        pid,
        uid: columns.uid.and_then(count).and_then(|uid| uid.try_into().ok()),
        total_vm: count(columns.total_vm)?,
        rss: count(columns.rss)?,
        swap: columns.swap.and_then(count),
        oom_score_adj: columns.oom_score_adj.and_then(value),
        name: name.map(|name| scan::owned(name, NAME_MAX)),
    })
}

/// The largest rows of a table: a machine may have millions of processes.
#[derive(Debug, Default)]
pub(crate) struct Largest {
    rows: Vec<Row>,
    seen: u64,
    /// RSS and index of the smallest kept row, once the list is full.
    smallest: Option<(u64, usize)>,
    page_size: Option<u64>,
}

impl Largest {
    pub(crate) fn add(&mut self, row: Row) {
        self.seen += 1;
        match self.smallest {
            None => self.rows.push(row),
            Some((rss, at)) if row.rss > rss => self.rows[at] = row,
            Some(_) => return,
        }
        if self.rows.len() >= Report::TASKS_MAX {
            let rows = self.rows.iter().enumerate().map(|(at, row)| (row.rss, at));
            self.smallest = rows.min();
        }
    }

    /// `Node 0 Normal: 112*64kB (UME) ...`: the first size of the free lists is a page.
    pub(crate) fn note_page_size(&mut self, message: &[u8]) {
        let is_free_list = message.starts_with(b"Node ") || message.starts_with(b"Normal: ");
        if is_free_list && self.page_size.is_none() {
            let size = scan::cut(message, b"*").and_then(|(_, rest)| scan::number(rest));
            let size =
                size.filter(|(_, rest)| rest.starts_with(b"kB")).and_then(|(kib, _)| kib.checked_mul(1024));
            self.page_size = size.filter(|size| PAGE_SIZES.contains(size)).or(self.page_size);
        }
    }

    /// Returns the rows in bytes, largest first, and the number of all rows.
    pub(crate) fn finish(self, victims: &[Victim]) -> (Vec<Task>, u64) {
        let page_size = self.page_size.or_else(|| self.page_size_of_victims(victims)).unwrap_or(4096);
        let mut tasks: Vec<Task> = self.rows.into_iter().map(|row| row.in_bytes(page_size)).collect();
        tasks.sort_by_key(|task| std::cmp::Reverse(task.rss_bytes));
        (tasks, self.seen)
    }

    /// The kernel prints a victim's virtual size twice: in pages in the table, in kB in the kill line.
    fn page_size_of_victims(&self, victims: &[Victim]) -> Option<u64> {
        victims.iter().find_map(|victim| {
            let row = self.rows.iter().find(|row| row.pid == victim.pid && row.total_vm > 0)?;
            let bytes = victim.total_vm_bytes?;
            let size = (bytes % row.total_vm == 0).then_some(bytes / row.total_vm)?;
            PAGE_SIZES.contains(&size).then_some(size)
        })
    }
}

impl Row {
    fn in_bytes(self, page_size: u64) -> Task {
        let Row { pid, uid, total_vm, rss, swap, oom_score_adj, name } = self;
        Task {
            pid,
            uid,
            name,
            total_vm_bytes: total_vm.saturating_mul(page_size),
            rss_bytes: rss.saturating_mul(page_size),
            swap_bytes: swap.map(|pages| pages.saturating_mul(page_size)),
            oom_score_adj,
        }
    }
}
