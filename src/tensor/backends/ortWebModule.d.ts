/** onnxruntime-web, whose own declarations only name the package's public entries (package.json, "imports"). */
declare module '#onnxruntime-web';
