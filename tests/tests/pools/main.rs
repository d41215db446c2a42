//! Compares how `pool-capacity` reads configurations of php-fpm and MariaDB with the real programs of Debian.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod mariadb;
mod phpfpm;
