module github.com/hauberk-rpc/hauberk/deploy

go 1.26.0

require (
	github.com/CycloneDX/cyclonedx-go v0.12.0
	go.yaml.in/yaml/v4 v4.0.0
)

require (
	github.com/davecgh/go-spew v1.1.2-0.20180830191138-d8f796af33cc // indirect
	github.com/pmezard/go-difflib v1.0.1-0.20181226105442-5d4384ee4fb2 // indirect
)

replace github.com/hauberk-rpc/hauberk => ../
