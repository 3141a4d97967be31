package sidecar

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// gate is a writer that blocks until it is opened.
type gate struct {
	open  chan struct{}
	lines bytes.Buffer
}

func (g *gate) Write(p []byte) (int, error) {
	<-g.open
	return g.lines.Write(p)
}

func TestQueueDropsLinesWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		q := newQueue(g, 3)
		line := []byte("line 0\n")
		for i := range 10 {
			line[5] = byte('0' + i)
			if n, err := q.Write(line); n != len(line) || err != nil {
				t.Fatal(n, err)
			}
			synctest.Wait() // the writer has the first line, three wait
		}
		close(g.open)
		synctest.Wait()
		_, _ = q.Write([]byte("late\n"))
		q.close()
		got := strings.Split(strings.TrimSpace(g.lines.String()), "\n")
		if len(got) != 6 || got[0] != "line 0" || got[5] != "late" || !strings.Contains(g.lines.String(), `"msg":"log lines dropped","count":6`) {
			t.Errorf("written:\n%s", &g.lines)
		}
	})
}

func TestQueueDoesNotWaitForABlockedWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		q := newQueue(g, 3)
		_, _ = q.Write([]byte("line\n"))
		start := time.Now()
		q.close()
		if took := time.Since(start); took != time.Second {
			t.Errorf("closing took %v, want 1s", took)
		}
		close(g.open)
	})
}

// failing is a writer whose first writes fail.
type failing struct {
	io.Writer

	failures atomic.Int32
}

func (f *failing) Write(p []byte) (int, error) {
	if f.failures.Add(-1) >= 0 {
		return 0, errors.New("no space left on device")
	}
	return f.Writer.Write(p)
}

func TestQueueCountsFailedWrites(t *testing.T) {
	var out bytes.Buffer
	f := &failing{Writer: &out}
	f.failures.Store(3) // two lines, and the first report of a dropped line
	q := newQueue(f, 10)
	for i := range 3 {
		_, _ = fmt.Fprintf(q, "line %d\n", i)
	}
	q.close()
	if !strings.Contains(out.String(), `"count":2`) || !strings.HasSuffix(out.String(), "line 2\n") {
		t.Errorf("written:\n%s", &out)
	}
}
