package h2

import (
	"errors"
	"slices"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// block decodes a header block. It is the reader's. Its rules are those of [http2.Framer] with
// ReadMetaHeaders, but the list that it returns has its own array of the right size, and the frame
// is used again.
type block struct {
	decoder *hpack.Decoder
	frame   http2.MetaHeadersFrame

	limit   uint32              // of the size of a list, as HTTP/2 counts it
	fields  []hpack.HeaderField // so far
	left    uint32              // until the limit
	regular bool                // a field that is no pseudo header was received
	err     error               // what is malformed
	cut     bool                // the list is above the limit
}

func newBlock(limit uint32) *block {
	b := &block{limit: limit}
	b.decoder = hpack.NewDecoder(4096, b.add)
	b.decoder.SetMaxStringLength(int(limit))
	return b
}

// readHeaders reads the rest of a header block. The result is valid until the next call, except for
// its fields.
func (c *Conn) readHeaders(first *http2.HeadersFrame) (http2.Frame, error) {
	b := c.block
	b.fields, b.left, b.regular, b.err, b.cut = b.fields[:0], b.limit, false, nil, false
	fragment, ended := first.HeaderBlockFragment(), first.HeadersEnded()
	for {
		if err := b.decode(fragment); err != nil {
			return nil, err
		}
		if ended {
			return b.end(first)
		}
		f, err := c.fr.ReadFrame() // the framer accepts only CONTINUATION
		if err != nil {
			return nil, err
		}
		next, ok := f.(*http2.ContinuationFrame)
		if !ok {
			return nil, protocol("a frame within a header block")
		}
		fragment, ended = next.HeaderBlockFragment(), next.HeadersEnded()
	}
}

// decode decodes a part of the block. It returns errors that end the connection: the sizes of what
// follows malformed fields and fields above the limit are not known, so that such a block must not
// go on.
func (b *block) decode(fragment []byte) error {
	if int64(len(fragment)) > 2*int64(b.left) || b.err != nil {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	if _, err := b.decoder.Write(fragment); err != nil {
		return http2.ConnectionError(http2.ErrCodeCompression)
	}
	return nil
}

// The errors of malformed fields.
var (
	errFieldValue  = errors.New("a header field has an invalid value")
	errFieldName   = errors.New("a header field has an invalid name")
	errPseudoOrder = errors.New("a pseudo header follows other fields")
	errPseudoName  = errors.New("a pseudo header is unknown or repeated, or those of requests and responses are mixed")
)

// add receives a field from the decoder.
func (b *block) add(f hpack.HeaderField) {
	pseudo := f.IsPseudo()
	switch {
	case b.err != nil || b.cut:
		return
	case !httpguts.ValidHeaderFieldValue(f.Value):
		b.err = errFieldValue
		return
	case pseudo && b.regular:
		b.err = errPseudoOrder
		return
	case !pseudo && !validName(f.Name):
		b.err = errFieldName
		return
	}
	b.regular = !pseudo
	if f.Size() > b.left {
		b.cut, b.left = true, 0
		return
	}
	b.left -= f.Size()
	b.fields = append(b.fields, f)
}

// validName reports whether a name is a token of HTTP in lower case.
func validName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c >= 0x80 || 'A' <= c && c <= 'Z' || !httpguts.IsTokenRune(rune(c)) {
			return false
		}
	}
	return name != ""
}

// end returns the frame with the list.
func (b *block) end(first *http2.HeadersFrame) (http2.Frame, error) {
	if err := b.decoder.Close(); err != nil {
		return nil, http2.ConnectionError(http2.ErrCodeCompression)
	}
	if b.err == nil && !validPseudo(b.fields) {
		b.err = errPseudoName
	}
	if b.err != nil {
		return nil, http2.StreamError{StreamID: first.StreamID, Code: http2.ErrCodeProtocol, Cause: b.err}
	}
	b.frame = http2.MetaHeadersFrame{HeadersFrame: first, Fields: slices.Clone(b.fields), Truncated: b.cut}
	clear(b.fields)
	if cap(b.fields) > 128 {
		b.fields = nil
	}
	return &b.frame, nil
}

// validPseudo reports whether the pseudo headers of a list are those of a request or of a response.
func validPseudo(fields []hpack.HeaderField) bool {
	request, response := false, false
	for i, f := range fields {
		if !f.IsPseudo() {
			break
		}
		switch f.Name {
		case ":method", ":path", ":scheme", ":authority", ":protocol":
			request = true
		case ":status":
			response = true
		default:
			return false
		}
		if slices.ContainsFunc(fields[:i], func(other hpack.HeaderField) bool { return other.Name == f.Name }) {
			return false
		}
	}
	return !request || !response
}
