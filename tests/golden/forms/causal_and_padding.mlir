// Form `causal_and_padding`: Transformers' decoders: positions by arange, compared, joined with the padding, min of the dtype elsewhere.
// Read as: causal, key padding, 4 heads, scale 0.111803
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 111,111],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, key_mask = {{%[^,]+}}, causal_offset = 0, scale = 0.11180339887498948, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[3,4,111,80],f32>, !torch.vtensor<[3,4,111,80],f32>, !torch.vtensor<[3,4,111,80],f32>, !torch.vtensor<[3,111],i1>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 111,111],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[3,4,111,80],f32>, %arg1: !torch.vtensor<[3,4,111,80],f32>, %arg2: !torch.vtensor<[3,111],si64>, %arg3: !torch.vtensor<[3,4,111,80],f32>) -> !torch.vtensor<[3,4,111,80],f32> {
    %int1 = torch.constant.int 1
    %0 = torch.aten.unsqueeze %arg2, %int1 : !torch.vtensor<[3,111],si64>, !torch.int -> !torch.vtensor<[3,1,111],si64>
    %int2 = torch.constant.int 2
    %1 = torch.aten.unsqueeze %0, %int2 : !torch.vtensor<[3,1,111],si64>, !torch.int -> !torch.vtensor<[3,1,1,111],si64>
    %int11 = torch.constant.int 11
    %false = torch.constant.bool false
    %none = torch.constant.none
    %2 = torch.aten.to.dtype %1, %int11, %false, %false, %none : !torch.vtensor<[3,1,1,111],si64>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[3,1,1,111],i1>
    %int0 = torch.constant.int 0
    %3 = torch.aten.select.int %2, %int2, %int0 : !torch.vtensor<[3,1,1,111],i1>, !torch.int, !torch.int -> !torch.vtensor<[3,1,111],i1>
    %4 = torch.aten.select.int %3, %int1, %int0 : !torch.vtensor<[3,1,111],i1>, !torch.int, !torch.int -> !torch.vtensor<[3,111],i1>
    %int-1 = torch.constant.int -1
    %int111 = torch.constant.int 111
    %5 = torch.prim.ListConstruct %int-1, %int111 : (!torch.int, !torch.int) -> !torch.list<int>
    %6 = torch.aten.expand %4, %5, %false : !torch.vtensor<[3,111],i1>, !torch.list<int>, !torch.bool -> !torch.vtensor<[3,111],i1>
    %7:2 = torch.operator "torch.hyper.attention"(query = %arg0, key = %arg1, value = %arg3, key_mask = %6, causal_offset = 0, scale = 0.11180339887498948, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[3,4,111,80],f32>, !torch.vtensor<[3,4,111,80],f32>, !torch.vtensor<[3,4,111,80],f32>, !torch.vtensor<[3,111],i1>) -> (!torch.vtensor<[3,4,111,80],f32>, !torch.vtensor<[3,4,111],f32>) 
    return %7#0 : !torch.vtensor<[3,4,111,80],f32>
  }
}
