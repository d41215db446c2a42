//! Random configurations: for any combination of lines both readers accept or refuse them, at the same line.

use std::fmt::Write;

use crate::machine::Machine;
use crate::server::{check, packages};
use crate::{reads_the_same, reported_lines};

const LINES: &[&str] = &[
    "<IfModule prefork.c>",
    "<IfModule !mpm_prefork_module>",
    "<IfModule \"none\">",
    "</IfModule>",
    "</IfModule>",
    "<IfDefine A>",
    "<IfDefine !A>",
    "</IfDefine>",
    "</ifdefine>",
    "<IfVersion >= 2.4.0>",
    "<IfVersion ~ ^2\\.2>",
    "</IfVersion>",
    "<IfFile \"apache2.conf\">",
    "</IfFile>",
    "<VirtualHost *:80>",
    "</VirtualHost>",
    "<Directory \"/a b\">",
    "</Directory>",
    "Define A",
    "Define B \"x y\"",
    "Define A ${B}",
    "UnDefine A",
    "UnDefine ${B}",
    "ServerName ${A}",
    "ServerRoot /etc/apache2",
    "ServerRoot ${B}",
    "Include more.conf",
    "Include m*.conf",
    "IncludeOptional none.conf",
    "Include none.conf",
    "IncludeOptional [a-z]/*",
    "Protocols a\\",
    "# comment \\",
    "MaxRequestWorkers 9",
    "MaxRequestWorkers \"0\"",
    "MaxClients 300",
    "ServerLimit 5",
    "serverlimit 0",
    "MinSpareServers -1",
    "MaxRequestWorkers ${LIMIT}",
    "MaxRequestWorkers 7 # seven",
    "</IfModule> ",
    "  ",
    "\t#x",
    "\"\"",
];

/// A generator with the same numbers in each run (Marsaglia's xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn text(&mut self, lines_max: usize) -> String {
        let lines = self.below(lines_max) + 1;
        (0..lines).map(|_| format!("{}\n", LINES[self.below(LINES.len())])).collect()
    }
}

#[test]
fn random_lines_are_accepted_or_refused_as_by_the_server() {
    let apache = packages();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let (mut taken, mut refused) = (0, 0);
    for round in 0..150 {
        let (body, more) = (numbers.text(9), numbers.text(3));
        let mut name = format!("round {round}:\n");
        write!(name, "{body}--- more.conf\n{more}").unwrap();
        let machine = Machine::small("prefork", &body).file("/etc/apache2/more.conf", &more);
        let (invocation, pool) = machine.read(&apache);
        let files = machine.materialised(&apache);
        match pool {
            Ok(pool) => {
                taken += 1;
                reads_the_same(&name, &files, &invocation, &pool);
            }
            Err(error) => {
                refused += 1;
                let output = check(&files, &invocation);
                let messages = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(!output.status.success(), "{name}: {error}");
                let error = files.rewritten(&error.to_string());
                let reported = reported_lines(&messages)
                    .pop()
                    .map(|(path, line)| format!("{}, line {line}: ", path.display()));
                assert!(
                    reported.is_none_or(|reported| error.starts_with(&reported)),
                    "{name}: {error}: {messages}"
                );
            }
        }
    }
    assert!(taken > 20 && refused > 20, "{taken} {refused}");
}
