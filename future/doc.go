// Package future makes calls that are waited for later, like the Call-Futures of
// gRPC Python.
//
// [Start] makes a unary call, [StartStream] one that streams its requests. The
// method of a generated client is taken as it is, chains of the client's connection
// included:
//
//	f := future.Start(ctx, client.Get, &pb.GetRequest{Id: 42})
//	…
//	resp, err := f.Result()
//
// Methods that stream their responses have no future: their streams are one
// already.
package future
