package hauberk

import (
	"testing"
	"unsafe"
)

func TestCallSize(t *testing.T) {
	if size := unsafe.Sizeof(Call{}); size > 384 {
		t.Errorf("a Call has %d bytes; the budget is 384", size)
	}
	t.Log(unsafe.Sizeof(Call{}), unsafe.Sizeof(serverUnary{}), unsafe.Sizeof(clientUnary{}), unsafe.Sizeof(serverStream{}), unsafe.Sizeof(clientStream{}))
}
