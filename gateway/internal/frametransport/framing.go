package frametransport

import "encoding/binary"

// framing finds the messages in the data of one direction of a call that is forwarded directly. As
// receiver does, it holds a small message back until all of it has arrived, and lets a large one pass
// piece by piece. The sender gets credit for what is held back, which is at most wholeSize and a
// prefix: its window may be smaller than the message.
//
//	┌──────────> between ──a prefix that is malformed or has a size above the limit──> failed
//	│             │   │
//	├─all of a small  └─prefix of a large message──> within
//	│       message                                    │
//	└──────────────────its last byte───────────────────┘
type framing struct {
	limit int   // of message sizes
	left  int   // bytes of the large message that is being passed on; 0 if there is none
	taken int   // bytes that have arrived of the message that is not complete, with its prefix
	done  int   // complete messages
	err   error // why the next message cannot be passed on

	held []byte // the beginning of a small message
}

// split returns the data that can be passed on, and its size, and holds the rest back, unless it cannot be
// passed on later. data has arrived after the data before.
func (f *framing) split(data [][]byte) (pass [][]byte, n int) {
	if len(data) == 0 {
		return nil, 0
	}
	all := data
	if len(f.held) > 0 {
		all = append([][]byte{f.held}, data...)
	}
	n = f.scan(all)
	if n == 0 && f.err == nil {
		f.hold(data, 0)
		return nil, 0
	}
	f.held = nil
	rest := n
	for i, piece := range all {
		if rest >= len(piece) {
			rest -= len(piece)
			continue
		}
		if pass = all[:i:i]; rest > 0 {
			pass = append(pass, piece[:rest:rest])
		}
		if f.err == nil {
			f.hold(all[i:], rest)
		}
		return pass, n
	}
	return all, n
}

// hold adds data to what is held back, without its first bytes. It copies the data, whose arrays may be larger.
func (f *framing) hold(data [][]byte, first int) {
	for _, piece := range data {
		f.held = append(f.held, piece[first:]...)
		first = 0
	}
}

// scan returns how many bytes can be passed on of the data in pieces, which begins where the bytes
// before have ended.
func (f *framing) scan(pieces [][]byte) (n int) {
	at := cursor{pieces: pieces}
	for f.err == nil {
		if f.left > 0 {
			k := at.skip(f.left)
			n += k
			f.left -= k
			if f.taken += k; f.left > 0 {
				break
			}
			f.complete()
		}
		prefix, has := at.prefix()
		if has < prefixLen {
			f.taken = has
			break
		}
		size := int64(binary.BigEndian.Uint32(prefix[1:]))
		f.err = checkMessage(prefix[0], size, f.limit)
		switch {
		case f.err != nil:
		case size > wholeSize:
			n += at.skip(prefixLen)
			f.left, f.taken = int(size), prefixLen
		default:
			if f.taken = at.skip(prefixLen + int(size)); f.taken < prefixLen+int(size) {
				return n
			}
			n += f.taken
			f.complete()
		}
	}
	return n
}

func (f *framing) complete() {
	f.done++
	f.taken = 0
}

// cursor is a place in data that is in pieces.
type cursor struct {
	pieces [][]byte
	offset int // in the first piece
}

// skip moves on by n bytes, or to the end. It returns by how many.
func (c *cursor) skip(n int) (skipped int) {
	for skipped < n && len(c.pieces) > 0 {
		k := min(n-skipped, len(c.pieces[0])-c.offset)
		skipped += k
		if c.offset += k; c.offset == len(c.pieces[0]) {
			c.pieces, c.offset = c.pieces[1:], 0
		}
	}
	return skipped
}

// prefix returns the prefix of the next message, and how many bytes of it there are.
func (c *cursor) prefix() (prefix [prefixLen]byte, has int) {
	from := c.offset
	for _, piece := range c.pieces {
		if has += copy(prefix[has:], piece[from:]); has == prefixLen {
			break
		}
		from = 0
	}
	return prefix, has
}
