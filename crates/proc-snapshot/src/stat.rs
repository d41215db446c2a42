//! `/proc/PID/stat`.
