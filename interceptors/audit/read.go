package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
)

// ErrTorn means that the last line of a file has no end: the process ended while it wrote the record.
// [OpenFile] repairs that.
var ErrTorn = errors.New("audit: the last line has no end")

// maxLine bounds a line that [Read] reads, in bytes: a record has less.
const maxLine = 2 << 20

// Read returns the records in the lines of a file, in their order. A line that is not a record is an error
// with the number of the line, and the records after it follow. The last error is [ErrTorn] if the last
// line has no end, or that of r. A record at StageStart without one at StageEnd for the same call is of a call
// that was running when the file was written, or when its process ended.
func Read(r io.Reader) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		lines := bufio.NewReaderSize(r, 64<<10)
		for number := 1; ; number++ {
			record, err := readRecord(lines)
			if errors.Is(err, io.EOF) {
				return
			}
			last := err != nil && !errors.Is(err, errNoRecord)
			if err != nil {
				err = fmt.Errorf("audit: line %d: %w", number, err)
			}
			if !yield(record, err) || last {
				return
			}
		}
	}
}

func readRecord(lines *bufio.Reader) (r Record, err error) {
	text, err := readLine(lines)
	if err != nil {
		return Record{}, err
	}
	err = r.UnmarshalJSON(text)
	return r, err
}

// readLine returns a line without its end, io.EOF after the last, ErrTorn, or an error that is errNoRecord
// for a line that is too long.
func readLine(lines *bufio.Reader) ([]byte, error) {
	var text []byte
	size := 0
	for {
		part, err := lines.ReadSlice('\n')
		if size += len(part); size <= maxLine {
			text = append(text, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && size == 0:
			return nil, io.EOF
		case errors.Is(err, io.EOF):
			return nil, ErrTorn
		case err != nil:
			return nil, err
		case size > maxLine:
			return nil, fmt.Errorf("%w: %d bytes; want at most %d", errNoRecord, size, maxLine)
		}
		return bytes.TrimSuffix(text, []byte("\n")), nil
	}
}
