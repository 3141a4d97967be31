// Package transform modifies calls by configuration: request metadata, response headers
// and trailers, timeouts, wait-for-ready, compression, credentials and other call options,
// the method, messages, and the final status. It works on both sides, for every kind of
// call.
//
//	setting                       side
//	request metadata              both; on a server for inner interceptors and the handler
//	response header, trailer      server
//	DefaultTimeout, MaxTimeout    both; on a server for the context of the handler
//	Timeout, NoTimeout            client
//	wait-for-ready, call options  client
//	compression                   client for requests, server for responses
//	method                        client
//	messages: modified, dropped   both
//	messages: one to several      client for requests, server for responses
//	status                        both
//
// On a server the timeouts end the context of the handler alone. They do not end a Recv or a
// Send of its stream: see [Config].MaxTimeout.
//
// An interceptor with a setting for one side cannot be attached to the other. hauberk.New
// reports one with settings for different sides.
//
// Select calls with hauberk.For, hauberk.Except and hauberk.When. Write an interceptor if
// a change depends on more than the call's method.
package transform
