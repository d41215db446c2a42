//! Circles of a graph: groups of nodes each of which leads to all others (strongly connected components).

/// Returns the groups, each after all groups that it leads to. A node outside any circle is a group of its own.
pub(crate) fn groups(nodes: usize, arrows: impl Iterator<Item = (usize, usize)>) -> Vec<Vec<usize>> {
    let mut targets = vec![Vec::new(); nodes];
    for (from, to) in arrows {
        targets[from].push(to);
    }
    let mut search = Search {
        targets,
        number: vec![None; nodes],
        lowest: vec![0; nodes],
        open: vec![false; nodes],
        stack: Vec::new(),
        groups: Vec::new(),
        next: 0,
    };
    for node in 0..nodes {
        if search.number[node].is_none() {
            search.visit(node);
        }
    }
    search.groups
}

/// Tarjan's algorithm. Its recursion is as deep as the chain of imports, some dozens.
struct Search {
    targets: Vec<Vec<usize>>,
    number: Vec<Option<usize>>,
    lowest: Vec<usize>,
    open: Vec<bool>,
    stack: Vec<usize>,
    groups: Vec<Vec<usize>>,
    next: usize,
}

impl Search {
    fn visit(&mut self, node: usize) {
        let number = self.next;
        self.next += 1;
        self.number[node] = Some(number);
        self.lowest[node] = number;
        self.open[node] = true;
        self.stack.push(node);
        for target in self.targets[node].clone() {
            match self.number[target] {
                None => {
                    self.visit(target);
                    self.lowest[node] = self.lowest[node].min(self.lowest[target]);
                }
                Some(other) if self.open[target] => self.lowest[node] = self.lowest[node].min(other),
                Some(_) => {}
            }
        }
        if self.lowest[node] == number {
            self.close(node);
        }
    }

    fn close(&mut self, node: usize) {
        let mut group = Vec::new();
        while let Some(member) = self.stack.pop() {
            self.open[member] = false;
            group.push(member);
            if member == node {
                break;
            }
        }
        group.sort_unstable();
        self.groups.push(group);
    }
}

/// Returns each node's floor: 0 for one that leads to nothing else, and one above the highest that it leads to
/// for the others. The nodes of a circle share a floor.
pub(crate) fn floors(nodes: usize, arrows: &[(usize, usize)]) -> Vec<usize> {
    let mut floors = vec![0; nodes];
    for group in groups(nodes, arrows.iter().copied()) {
        let leaves = arrows.iter().filter(|(from, to)| group.contains(from) && !group.contains(to));
        let floor = leaves.map(|&(_, to)| floors[to] + 1).max().unwrap_or(0);
        group.iter().for_each(|&node| floors[node] = floor);
    }
    floors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_lead_to_each_other_are_one_group() {
        let arrows = [(0, 1), (1, 2), (2, 1), (3, 0)];
        assert_eq!(groups(4, arrows.into_iter()), [vec![1, 2], vec![0], vec![3]]);
    }

    #[test]
    fn floors_grow_along_the_arrows() {
        assert_eq!(floors(4, &[(0, 1), (1, 2), (2, 1), (3, 0)]), [1, 0, 0, 2]);
    }
}
