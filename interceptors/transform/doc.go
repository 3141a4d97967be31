// Package transform changes calls on their way, on both sides and in every kind of
// call, as data says: request metadata, response headers and trailers, timeouts,
// wait-for-ready, compression, credentials and other call options, the method,
// messages, and the status at the end.
//
// What is changed where:
//
//	request metadata             client, and server for what stands further in
//	response header, trailer     server: added to
//	DefaultTimeout, MaxTimeout   client, and server for the handler's context
//	Timeout, NoTimeout           client
//	wait-for-ready, call options client
//	compression                  client for requests, server for responses
//	method                       client
//	messages: changed, dropped   client and server
//	messages: several of one     client for requests, server for responses
//	status                       client and server
//
// A configuration that asks a side for what it cannot do ends every call there
// with INTERNAL and says so; one that no side can do is rejected by hauberk.New.
//
// Use hauberk.For, hauberk.Except and hauberk.When to say which calls are meant,
// and an interceptor of your own where the change depends on more than the call's
// method.
package transform
