// Package descriptorset reads the descriptors of services from files and from running servers. Package policy
// checks a policy against them.
//
//	set, err := descriptorset.Read("shop.binpb") // buf build -o shop.binpb
//	…
//	p, err := policy.Load("policy.yaml", policy.WithServices(set.Services()...), policy.WithTypes(set.Types()))
package descriptorset
