//! PLACEHOLDER by lead until "confine" lands: overwrite this file.
pub fn close_all_but(keep: &[i32]) -> std::io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")?.flatten().collect::<Vec<_>>() {
        if let Some(n) = entry.file_name().to_str().and_then(|s| s.parse::<i32>().ok()) && !keep.contains(&n) { let _ = rustix_close(n); }
    }
    Ok(())
}
fn rustix_close(n: i32) -> std::io::Result<()> { crate::sys::close_number(n) }
