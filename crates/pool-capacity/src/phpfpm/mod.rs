//! php-fpm: its pools, and how many workers they are allowed together.
