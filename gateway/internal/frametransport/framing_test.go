package frametransport

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// FuzzFraming compares what passes with the messages of the whole data: all that passes is a prefix of the data, and
// ends with a message or within a large one, wherever the data is cut into pieces and batches.
func FuzzFraming(f *testing.F) {
	large := binary.BigEndian.AppendUint32([]byte{0}, wholeSize+1)
	f.Add([]byte{0, 0, 0, 0, 2, 'h', 'i', 1, 0, 0, 0, 0}, []byte{3, 1, 9})
	f.Add(append(large, make([]byte, wholeSize+1)...), []byte{255, 4, 77})
	f.Add([]byte{2, 0, 0, 0, 0}, []byte{1})
	f.Add([]byte{0, 255, 0, 0, 0}, []byte{2})
	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		const limit = 1 << 16
		cuts = cuts[:min(len(cuts), 100)] // the comparison is quadratic
		fr := framing{limit: limit}
		var passed []byte
		for rest, i := data, 0; len(rest) > 0; {
			var batch [][]byte
			for range 1 + i%3 {
				n := len(rest)
				if i < len(cuts) {
					n = min(n, int(cuts[i])*16+1)
				}
				i++
				if n > 0 {
					batch, rest = append(batch, bytes.Clone(rest[:n])), rest[n:]
				}
			}
			out, n := fr.split(batch)
			if n != size(out) {
				t.Fatalf("%d bytes pass; split returned %d", size(out), n)
			}
			for _, piece := range out {
				passed = append(passed, piece...)
			}
			if len(fr.held) > wholeSize+prefixLen {
				t.Fatalf("%d bytes are held back", len(fr.held))
			}
			if want, left, bad := expected(data[:len(data)-len(rest)], limit); len(passed) != want || fr.left != left || (fr.err != nil) != bad {
				t.Fatalf("%d bytes passed, %d left, %v; want %d and %d, an error: %t", len(passed), fr.left, fr.err, want, left, bad)
			}
		}
		if !bytes.HasPrefix(data, passed) {
			t.Fatal("what passed differs from the data")
		}
	})
}

// expected returns how many bytes of data may pass, how many bytes of a large message follow, and whether a message is
// wrong.
func expected(data []byte, limit int) (n, left int, bad bool) {
	for len(data)-n >= prefixLen {
		size := int(binary.BigEndian.Uint32(data[n+1:]))
		have := len(data) - n - prefixLen
		switch {
		case data[n] > 1 || size > limit:
			return n, 0, true
		case size <= have:
			n += prefixLen + size
		case size <= wholeSize:
			return n, 0, false
		default:
			return len(data), size - have, false
		}
	}
	return n, 0, false
}
