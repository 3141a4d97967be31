package news_test

import (
	"runtime"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/hauberk-rpc/hauberk/internal/news"
)

// Listeners receive changes in order, also if one of them panics or ends its goroutine.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got, others []int
		n := news.News[int]{Listeners: []func(int){
			func(c int) {
				switch got = append(got, c); c {
				case 1:
					panic("a listener panics")
				case 2:
					runtime.Goexit()
				}
			},
			func(c int) { others = append(others, c) },
		}}
		for c := range 5 {
			n.Add(c)
		}
		synctest.Wait()
		want := []int{0, 1, 2, 3, 4}
		if !slices.Equal(got, want) || !slices.Equal(others, want) || n.Panics.Load() != 2 || n.Dropped.Load() != 0 {
			t.Errorf("%v, %v; %d panics, %d dropped", got, others, n.Panics.Load(), n.Dropped.Load())
		}
	})
}

// Add never blocks: changes beyond those that wait are dropped.
func TestDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release, received := make(chan struct{}), 0
		n := news.News[int]{Listeners: []func(int){func(int) {
			<-release
			received++
		}}}
		const more = 10
		n.Add(0)
		synctest.Wait() // the listener blocks in the first change
		for range news.MaxWaiting + more {
			n.Add(1)
		}
		close(release)
		synctest.Wait()
		if n.Dropped.Load() != more || received != 1+news.MaxWaiting {
			t.Errorf("%d received, %d dropped", received, n.Dropped.Load())
		}
	})
	var none news.News[int]
	none.Add(1)
}
