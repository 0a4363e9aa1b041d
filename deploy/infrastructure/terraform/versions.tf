terraform {
  required_version = ">= 1.9"

  required_providers {
    google = {
      source = "hashicorp/google"
      # Every argument here is checked against the schema of 6.50, the last release of 6.
      version = "~> 6.50"
    }
  }

  # The bucket is named at `terraform init -backend-config=bucket=…`: state belongs to whoever applies this.
  backend "gcs" {
    prefix = "ml-production"
  }
}

provider "google" {
  project = var.project_id
  region  = var.region
}
