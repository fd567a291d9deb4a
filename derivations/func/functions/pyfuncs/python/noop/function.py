"""Nothing: what a call costs by itself."""


def faasm_main():
    pass
