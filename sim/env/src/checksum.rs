//! CRC-32C (RFC 3720, appendix B.4).

/// What is no longer than this, in bytes, is looked up in tables, as in "slicing-by-8" (Kounavis
/// and Berry, 2008). Most messages are, and to set up the processor's own instruction for so little
/// costs more than it saves.
const SHORT: usize = 24;

/// The polynomial 0x1EDC6F41 with its bits in reverse.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// What a byte makes of the checksum when so many bytes follow it in the same word.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let (mut sum, mut bit) = (byte as u32, 0);
        while bit < 8 {
            sum = if sum & 1 == 0 { sum >> 1 } else { sum >> 1 ^ POLYNOMIAL };
            bit += 1;
        }
        tables[0][byte] = sum;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = before >> 8 ^ tables[0][before as u8 as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

/// The checksum of these bytes.
#[inline]
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    if bytes.len() > SHORT { crc32c::crc32c(bytes) } else { looked_up(bytes) }
}

fn looked_up(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<8>();
    let sum = words.iter().fold(u32::MAX, |sum, word| {
        let word = u64::from_le_bytes(*word) ^ u64::from(sum);
        let at = |place: usize| TABLES[7 - place][(word >> (8 * place)) as u8 as usize];
        at(0) ^ at(1) ^ at(2) ^ at(3) ^ at(4) ^ at(5) ^ at(6) ^ at(7)
    });
    !rest.iter().fold(sum, |sum, byte| sum >> 8 ^ TABLES[0][usize::from(sum as u8 ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_that_of_the_standard() {
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn tables_and_instruction_agree_at_every_length() {
        let bytes: Vec<u8> = (0..100u32).map(|at| (at * at * 37 + 11) as u8).collect();
        for length in 0..bytes.len() {
            for from in 0..8.min(bytes.len() - length) {
                let bytes = &bytes[from..from + length];
                assert_eq!(looked_up(bytes), crc32c::crc32c(bytes), "{length} from {from}");
            }
        }
    }
}
