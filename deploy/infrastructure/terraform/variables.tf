variable "project_id" {
  description = "Google Cloud project that holds everything."
  type        = string
}

variable "region" {
  description = "Region of the cluster, the databases and the bucket."
  type        = string
  default     = "europe-west4"
}

variable "gpu_zones" {
  description = "Zones of the region that have T4 GPUs: `gcloud compute accelerator-types list --filter=name=nvidia-tesla-t4`."
  type        = list(string)
  default     = ["europe-west4-b", "europe-west4-c"]
}

variable "publishers" {
  description = "Who may push models, such as `group:data-science@example.com` or a CI's `principalSet://…`."
  type        = set(string)

  validation {
    condition     = alltrue([for member in var.publishers : !contains(["allUsers", "allAuthenticatedUsers"], member)])
    error_message = "Models are published by named principals, never by everybody."
  }
}
