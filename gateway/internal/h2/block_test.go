package h2

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// FuzzBlock compares header blocks with those of http2.Framer: the same fields, or an error of the same kind.
func FuzzBlock(f *testing.F) {
	for _, fields := range [][]string{
		request,
		{":status", "200", "content-type", "application/grpc"},
		{":status", "200", ":path", "/"},
		{":status", "200", ":status", "200"},
		{":unknown", "x"},
		{"x", "y", ":status", "200"},
		{"Upper", "x"},
		{"x y", "z"},
		{"", "z"},
		{"x", "a\nb"},
		{"ümlaut", "x"},
		{"x", strings.Repeat("v", 500)},
		{"x", strings.Repeat("v", 2000)},
	} {
		var block bytes.Buffer
		enc := hpack.NewEncoder(&block)
		for i := 0; i < len(fields); i += 2 {
			_ = enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
		}
		f.Add(block.Bytes(), uint16(3))
		f.Add(block.Bytes(), uint16(10_000))
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff}, uint16(0))
	f.Fuzz(func(t *testing.T, data []byte, cut uint16) {
		var frames bytes.Buffer
		out := http2.NewFramer(&frames, nil)
		first := data[:min(int(cut), len(data))]
		rest := data[len(first):]
		_ = out.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: first, EndHeaders: len(rest) == 0})
		if len(rest) > 0 {
			_ = out.WriteContinuation(1, true, rest)
		}
		const limit = 1 << 10
		reference := http2.NewFramer(nil, bytes.NewReader(frames.Bytes()))
		reference.ReadMetaHeaders, reference.MaxHeaderListSize = hpack.NewDecoder(4096, nil), limit
		want, wantErr := reference.ReadFrame()

		c := &Conn{fr: http2.NewFramer(nil, bytes.NewReader(frames.Bytes())), block: newBlock(limit)}
		frame, err := c.fr.ReadFrame()
		if headers, ok := frame.(*http2.HeadersFrame); ok && err == nil {
			frame, err = c.readHeaders(headers)
		}
		if has(data, "trailer") || errors.Is(wantErr, http2.ConnectionError(http2.ErrCodeProtocol)) ||
			errors.Is(err, http2.ConnectionError(http2.ErrCodeProtocol)) {
			return // the framer has a second budget for fields with the name trailer
		}
		if class(err) != class(wantErr) {
			t.Fatalf("the error is %v; want %v", err, wantErr)
		}
		if err != nil {
			return
		}
		got, expected := frame.(*http2.MetaHeadersFrame), want.(*http2.MetaHeadersFrame)
		if !slices.Equal(got.Fields, expected.Fields) || got.Truncated != expected.Truncated {
			t.Fatalf("%v, truncated %t; want %v, %t", got.Fields, got.Truncated, expected.Fields, expected.Truncated)
		}
	})
}

// class returns what an error ends, and with which code.
func class(err error) any {
	if wrong, ok := errors.AsType[http2.StreamError](err); ok {
		return [2]uint32{wrong.StreamID, uint32(wrong.Code)}
	}
	if code, ok := errors.AsType[http2.ConnectionError](err); ok {
		return code
	}
	return err
}

// has reports whether a block may have a field with a name.
func has(block []byte, name string) (found bool) {
	dec := hpack.NewDecoder(4096, func(f hpack.HeaderField) { found = found || f.Name == name })
	_, _ = dec.Write(block)
	return found
}
