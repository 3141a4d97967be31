package hauberk

// deepChain is the least number of interceptors whose frames do not fit into the stack of a new goroutine, which
// has 2 KiB.
const deepChain = 3

// growStack makes the runtime grow the stack to 4 KiB, which deeper chains need. Without it the stack grows when the
// frames of most interceptors are on it. The runtime then examines each of them, which costs as much as the rest of
// the call. The frame of growStack has room for what is missing. use is false: nothing is done with that room.
//
//go:noinline
func growStack(use bool) byte {
	if !use {
		return 0
	}
	var room [2 << 10]byte
	fillStack(&room)
	return room[0]
}

//go:noinline
func fillStack(room *[2 << 10]byte) { room[0]++ }
