//! Memory of a worker, of all that are allowed, and the largest limit that fits.
