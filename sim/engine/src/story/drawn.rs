//! What is drawn where it happens and strikes no message: faults of connections, and rare branches
//! of the code.

use crate::table::{Fault, TABLE};

/// What becomes of a connection of this node; nothing of what is not worth a sentence.
pub(super) fn stream_fault(node: &str, fault: u64) -> Option<String> {
    let row = usize::try_from(fault).ok().and_then(|at| TABLE.get(at))?;
    let text = match row.fault {
        Fault::StreamReset => format!("a connection over which {node} sends is reset"),
        Fault::HalfOpen => {
            format!("a connection over which {node} sends is dead, and neither end is told")
        }
        Fault::ConnectRefused => format!("{node} connects, and is refused"),
        Fault::ConnectHang => format!("{node} connects, and is left to wait"),
        Fault::ConnectReset => format!("{node} connects, and the connection is reset at once"),
        _ => return None,
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Group;

    /// Reads and writes that do less than was asked for, or wait, are too many to be told.
    #[test]
    fn every_fault_of_connections_that_breaks_them_has_its_words() {
        let small = [Fault::StreamShortIo, Fault::BackPressure];
        for (at, row) in TABLE.iter().enumerate() {
            let is_told = row.group == Group::Stream && !small.contains(&row.fault);
            let told = stream_fault("n1", at as u64);
            assert_eq!(told.is_some_and(|text| text.contains("n1 ")), is_told, "{}", row.name);
        }
        assert_eq!(stream_fault("n1", u64::MAX), None);
    }
}
