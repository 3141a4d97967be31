package h2

import "errors"

var errWindow = errors.New("the peer sent more than flow control allows")

// inflow is the credit of the peer to send, of the connection or of a stream. It always
// holds that avail + held + pending == size, where held is what the owner holds.
type inflow struct {
	size    int // the window
	avail   int // what the peer may send; negative after a reduction of the window
	pending int // what was taken, and not returned to the peer yet
	excess  int // by how much the window is to become smaller, from what is taken
}

func (f *inflow) held() int { return f.size - f.avail - f.pending }

// receive accounts for n bytes of the peer. No bytes are permitted with any window, such as the end of a
// stream whose window has become negative.
func (f *inflow) receive(n int) error {
	if n > 0 && n > f.avail {
		return errWindow
	}
	f.avail -= n
	return nil
}

// take accounts for n bytes that are no longer held. It returns the increment for a
// WINDOW_UPDATE, or 0 if it is too early for one. least is the part of the window that is
// worth a frame. Less is returned if the peer would otherwise have to stop.
func (f *inflow) take(n, least int) (increment int) {
	f.pending += n
	if less := min(f.pending, f.excess); less > 0 {
		f.pending -= less
		f.excess -= less
		f.size -= less
	}
	if f.pending == 0 || f.pending < least && f.pending < f.avail {
		return 0
	}
	return f.flush()
}

func (f *inflow) flush() (increment int) {
	increment, f.pending = f.pending, 0
	f.avail += increment
	return increment
}

// resize changes the window by delta.
func (f *inflow) resize(delta int) {
	f.size += delta
	f.avail += delta
}

// windows chooses the windows, so that streams whose data is not taken cannot stop others.
// A connection begins with two thirds of its window, and with a large initial window for
// streams, which is best if all data is taken. When much data is held, the initial window
// becomes smaller with SETTINGS, for all streams: those that hold more cannot receive. When
// the peer has acknowledged that, the connection gets a part of the rest of its window,
// which is then for the others. The last level has room for more than 1,000 streams. When
// little is held, the first level returns.
//
// In addition a small part is lent to streams whose data is taken: their windows double with
// each update.
type windows struct {
	conn    int    // the connection's window
	initial [3]int // the initial windows of streams, by level
	level   int    // as in the last SETTINGS
	applied int    // the initial window that the peer has acknowledged, or a larger one
	changes []int  // for each SETTINGS without acknowledgement: the reduction, or 0
	lent    int
}

func newWindows(conn int) windows {
	initial := [...]int{min(conn/12, defaultWindow), conn / 256, conn / 8192}
	return windows{
		conn: conn, initial: initial, applied: defaultWindow, changes: []int{defaultWindow - initial[0]},
	}
}

// base is the connection's window at the first level.
func (w *windows) base() int { return max(w.conn/3*2, defaultWindow) }

// extra is by how much the connection's window grows with each level.
func (w *windows) extra() int { return w.conn / 6 }

// adjust chooses the level for the number of bytes that are held. The initial window of
// streams changes by delta if that is not 0. An increase is in force at once, a reduction
// when it is acknowledged.
func (w *windows) adjust(held, size int) (delta int) {
	old := w.initial[w.level]
	switch {
	case len(w.changes) > 0:
		return 0
	case w.level == 0 && held > size/2, w.level == 1 && held > size/4*3:
		w.level++
		delta = w.initial[w.level] - old
		w.changes = append(w.changes, -delta)
	case w.level > 0 && held < w.conn/8:
		w.level = 0
		delta = w.initial[0] - old
		w.applied += delta
		w.changes = append(w.changes, 0)
	}
	return delta
}

// acknowledged returns by how much the windows of all streams are smaller from now on.
func (w *windows) acknowledged() (reduction int) {
	if len(w.changes) == 0 {
		return 0
	}
	reduction = w.changes[0]
	w.changes = w.changes[1:]
	w.applied -= reduction
	return reduction
}

// lend returns by how much the window of a stream may grow.
func (w *windows) lend(size int) int {
	n := max(min(size, w.conn/12-w.lent), 0)
	w.lent += n
	return n
}
