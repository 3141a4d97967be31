package hauberk

import (
	"testing"
	"unsafe"
)

func TestCallSize(t *testing.T) {
	if size := unsafe.Sizeof(Call{}); size > 384 {
		t.Errorf("a Call has %d bytes; the budget is 384", size)
	}
	if size := unsafe.Sizeof(serverUnary{}); size > 416 {
		t.Errorf("a unary call on a server has %d bytes; want at most 416, a size class of the allocator", size)
	}
	if size := unsafe.Sizeof(clientUnary{}) + unsafe.Sizeof(room{}); size > 512 {
		t.Errorf("a unary call with room for metadata has %d bytes; want at most 512, a size class of the allocator", size)
	}
	t.Log(unsafe.Sizeof(Call{}), unsafe.Sizeof(serverUnary{}), unsafe.Sizeof(clientUnary{}), unsafe.Sizeof(serverStream{}), unsafe.Sizeof(clientStream{}))
}
