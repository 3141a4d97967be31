package fault_test

import (
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// counted is the stream of a backend that counts requests.
type counted struct {
	hauberktest.Stream

	by *counting
}

func (s *counted) Recv() (*testpb.Request, error) {
	req, err := s.Stream.Recv()
	if err == nil {
		s.by.requests++
	}
	return req, err
}
