// Package future makes calls whose results are read later, like the Call-Futures of gRPC Python.
//
// [Start] makes a unary call, and [StartStream] a call with a stream of requests. Both take the
// method of a generated client. The chain of the client's connection runs as usual.
//
//	f := future.Start(ctx, client.Get, &pb.GetRequest{Id: 42})
//	…
//	resp, err := f.Result()
//
// Methods with a stream of responses need no future: the stream itself returns before the call
// has ended.
package future
