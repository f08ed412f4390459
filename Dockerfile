# The flow and its command line; the embedded servers of `make demo` are not in it.
FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/tocsin
COPY . .
RUN /opt/tocsin/bin/pip install --no-cache-dir .

FROM python:3.12-slim
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin tocsin \
    && install -d -o tocsin -g tocsin -m 0750 /var/lib/tocsin
COPY --from=build /opt/tocsin /opt/tocsin
COPY examples/flights /etc/tocsin/catalog
COPY examples/providers.example.yaml /etc/tocsin/providers.yaml
ENV PATH=/opt/tocsin/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    TOCSIN_CATALOG=/etc/tocsin/catalog \
    TOCSIN_PROVIDERS=/etc/tocsin/providers.yaml \
    TOCSIN_STATE_DIR=/var/lib/tocsin
USER tocsin
# A shard's state is the only thing that must outlive the container.
VOLUME /var/lib/tocsin
STOPSIGNAL SIGTERM
ENTRYPOINT ["tocsin"]
CMD ["run"]
